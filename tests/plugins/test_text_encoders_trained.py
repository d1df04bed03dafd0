"""Text encoders trained from scratch: gru, lstm's published sizes, text_cnn, small_transformer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmauto_text.gru import Gru
from mmauto_text.lstm import Lstm
from mmauto_text.small_transformer import SmallTransformer
from mmauto_text.text_cnn import TextCnn
from torch import Tensor, nn

from mmauto.plugin import DataError, TaskView, Texts
from mmauto.space import defaults

VIEW = TaskView("notes", {"text": "text"}, {}, "yes", "balanced_accuracy")
NOTES = [
    "fever and cough for two days",
    "no fever, no cough; chest pain",
    "cough",
    "swollen legs for two days and fever and chest pain",
]
TRAIN = Texts([*NOTES, *NOTES, None, ""])


def params_of(encoder: Any, **changed: Any) -> dict[str, Any]:
    return {**defaults(encoder.space(VIEW)), **changed}


def built(encoder: Any, column: Texts, **changed: Any) -> tuple[Any, dict[str, Tensor]]:
    params = params_of(encoder, **changed)
    state = encoder.fit(TRAIN, params)
    torch.manual_seed(0)
    return encoder.build(state, params).eval(), dict(encoder.prepare(column, state, params))


# ------------------------------------------------------------------------------- lstm and gru


@pytest.mark.parametrize("encoder", [Lstm(), Gru()])
def test_the_last_states_equal_torchs_own_on_packed_sequences(encoder: Any) -> None:
    from torch.nn.utils.rnn import pack_padded_sequence

    module, arrays = built(encoder, Texts(NOTES), pool="last", layers=2, width=32)
    cell = getattr(nn, encoder.cell)
    reference = cell(64, 32, num_layers=2, bidirectional=True, batch_first=True)
    own = {}
    for level in range(2):
        for layer, ending in ((module.ahead[level], ""), (module.back[level], "_reverse")):
            for name, value in layer.named_parameters():
                own[name.replace("_l0", f"_l{level}{ending}")] = value.detach()
    reference.load_state_dict(own)
    lengths = arrays["mask"].sum(1)
    packed = pack_padded_sequence(
        module.embedding(arrays["ids"]), lengths, batch_first=True, enforce_sorted=False
    )
    hidden = reference(packed)[1]
    hidden = hidden[0] if encoder.name == "lstm" else hidden
    found = module(**arrays)
    assert found.values.shape == (len(NOTES), 1, 64)
    torch.testing.assert_close(found.values[:, 0], torch.cat([hidden[2], hidden[3]], dim=1))


def test_an_lstm_of_before_its_sizes_could_be_set_still_loads() -> None:
    old = {"width": 32, "layers": 1, "bidirectional": False, "dropout": 0.2}
    state = Lstm().fit(TRAIN, old)
    assert state == Lstm().fit(TRAIN, params_of(Lstm()))
    shapes = {name: tuple(p.shape) for name, p in Lstm().build(state, old).named_parameters()}
    assert shapes == {
        "embedding.weight": (len(state["vocabulary"]) + 2, 64),
        "ahead.0.weight_ih_l0": (128, 64),
        "ahead.0.weight_hh_l0": (128, 32),
        "ahead.0.bias_ih_l0": (128,),
        "ahead.0.bias_hh_l0": (128,),
    }
    assert Lstm().features(state, old).tokens == state["length"]


@pytest.mark.parametrize("encoder", [Lstm(), Gru()])
def test_a_study_file_may_ask_for_a_published_structure(encoder: Any) -> None:
    sizes = {"embedding": 300, "width": 200, "vocabulary": 3, "bidirectional": False}
    params = params_of(encoder, **sizes)
    state = encoder.fit(TRAIN, params)
    assert state["vocabulary"] == ["and", "cough", "fever"]
    module = encoder.build(state, params)
    assert module.embedding.weight.shape == (5, 300)
    found = module(**encoder.prepare(TRAIN, state, params))
    assert found.values.shape[2] == encoder.features(state, params).dim == 200


# ----------------------------------------------------------------------------------- text_cnn


def test_a_filter_answers_with_its_strongest_window() -> None:
    module, arrays = built(TextCnn(), Texts(NOTES), width=7, embedding=16)
    found = module(**arrays).values
    assert found.shape == (len(NOTES), 1, 21)
    words = module.embedding(arrays["ids"])[3]  # (T, D)
    for place, size in enumerate((3, 4, 5)):
        layer = module.filters[place]
        before, after = (size - 1) // 2, size // 2
        padded = torch.cat([words.new_zeros(before, 16), words, words.new_zeros(after, 16)])
        answers = [
            (layer.weight * padded[start : start + size].T).sum((1, 2)) + layer.bias
            for start in range(int(arrays["mask"][3].sum()))
        ]
        expected = torch.stack(answers).amax(0).relu()
        torch.testing.assert_close(found[3, 0, 7 * place : 7 * place + 7], expected)


# ------------------------------------------------------------------------- small_transformer


def test_attention_equals_torchs_own() -> None:
    module, arrays = built(SmallTransformer(), Texts(NOTES), layers=1)
    own, real = module.layers[0], arrays["mask"]
    theirs = nn.MultiheadAttention(64, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": own.inputs.weight.detach(),
            "in_proj_bias": own.inputs.bias.detach(),
            "out_proj.weight": own.output.weight.detach(),
            "out_proj.bias": own.output.bias.detach(),
        }
    )
    values = torch.randn(*real.shape, 64)
    expected = theirs(values, values, values, key_padding_mask=~real)[0]
    torch.testing.assert_close(own.attend(values, real), expected)


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    params = params_of(SmallTransformer(), width=100, heads=8)
    with pytest.raises(DataError) as caught:
        SmallTransformer().features(SmallTransformer().fit(TRAIN, params), params)
    assert str(caught.value) == (
        "small_transformer's width must be a multiple of its heads, the parameters give width 100 "
        "and 8 heads; change one of them in the study file"
    )


# --------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("encoder", [Gru(), TextCnn(), SmallTransformer()])
def test_what_stands_in_the_padding_cannot_leak(encoder: Any) -> None:
    module, arrays = built(encoder, Texts(NOTES))
    dirty = {**arrays, "ids": torch.where(arrays["mask"], arrays["ids"], 3)}
    torch.testing.assert_close(module(**arrays).mean(), module(**dirty).mean())


def word_order(rows: int) -> tuple[Texts, Tensor]:
    """Which of two words comes first: the words alone say nothing."""
    draw = torch.Generator().manual_seed(1)
    label = torch.randint(0, 2, (rows,), generator=draw)
    texts = []
    for yes in label.tolist():
        pair = ["fever", "cough"] if yes else ["cough", "fever"]
        filler = ["and", "two", "days", "since"]
        picked = torch.randint(0, 4, (4,), generator=draw).tolist()
        at = int(torch.randint(0, 4, (1,), generator=draw))
        said = [filler[p] for p in picked]
        texts.append(" ".join([*said[:at], *pair, *said[at:]]))
    return Texts(texts), label.float()


@pytest.mark.parametrize(
    ("encoder", "changed"),
    [
        (Gru(), {"pool": "last", "width": 32}),
        (Gru(), {"layers": 2, "width": 32}),
        (Lstm(), {"pool": "last", "width": 32}),
        (TextCnn(), {"width": 16}),
        (SmallTransformer(), {"layers": 1}),
    ],
)
def test_it_learns_which_word_comes_first(encoder: Any, changed: dict[str, Any]) -> None:
    texts, label = word_order(256)
    params = params_of(encoder, dropout=0.0, **changed)
    train, test = slice(0, 192), slice(192, 256)
    state = encoder.fit(texts.take(list(range(192))), params)
    arrays = encoder.prepare(texts, state, params)
    torch.manual_seed(0)
    module = encoder.build(state, params).train()
    head = nn.Linear(encoder.features(state, params).dim, 1)
    optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(60):
        logits = head(module(**{k: v[train] for k, v in arrays.items()}).mean()).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, label[train])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = head(module.eval()(**{k: v[test] for k, v in arrays.items()}).mean()).squeeze(1)
    assert ((found > 0) == (label[test] > 0)).float().mean() > 0.9
