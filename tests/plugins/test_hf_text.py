"""Hugging Face text models: from a folder or random, frozen or partly trained."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmauto_hf.model import fingerprint
from mmauto_hf.text import HfText
from mmauto_hf.tokenizer import limit, train_pieces

from mmauto.engine.compat import mend_torchvision
from mmauto.plugin import DataError, TaskView, Texts, Tokens
from mmauto.space import defaults

mend_torchvision()
NOTES = [
    "fever and cough for two days",
    "no fever, no cough; chest pain",
    "cough",
    "swollen legs for two days and fever",
]
TRAIN = Texts([*NOTES, None, ""])
VIEW = TaskView("notes", {"text": "text"}, {}, "yes", "balanced_accuracy")
ENCODER = HfText()

needs_peft = pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is missing")


def params_of(**changed: Any) -> dict[str, Any]:
    return {**defaults(ENCODER.space(VIEW)), **changed}


def encoded(column: Texts, params: dict[str, Any]) -> Tokens:
    """Stem and module as the host runs them, before any training."""
    state = ENCODER.fit(TRAIN, params)
    arrays = dict(ENCODER.prepare(column, state, params))
    torch.manual_seed(0)
    stem = ENCODER.stem(state, params)
    with torch.no_grad():
        if stem is not None:
            arrays = stem(**arrays)
        return ENCODER.build(state, params).eval()(**arrays)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("Bert", tmp_path_factory.mktemp("bert"))


def saved(family: str, folder: Path, **config: Any) -> Path:
    """A tiny model and its tokenizer, as save_pretrained leaves them."""
    import transformers

    pieces = train_pieces([*NOTES, *NOTES])
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    }
    if family == "DistilBert":
        sizes = {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
    made = getattr(transformers, f"{family}Config")(vocab_size=len(pieces), **sizes, **config)
    torch.manual_seed(3)
    getattr(transformers, f"{family}Model")(made).save_pretrained(folder)
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=40).save_pretrained(folder)
    return folder


# ----------------------------------------------------------------------------- from a folder


def test_hidden_states_equal_a_direct_call_of_transformers(bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokeniser = AutoTokenizer.from_pretrained(bert)
    model = AutoModel.from_pretrained(bert).eval()
    found = {pool: encoded(Texts(NOTES), params_of(model=str(bert), pool=pool)) for pool in POOLS}
    for row, note in enumerate(NOTES):  # one by one, without any padding
        with torch.no_grad():
            out = model(**tokeniser(note, return_tensors="pt"))
        states = out.last_hidden_state[0]
        assert int(found["tokens"].mask[row].sum()) == len(states)
        torch.testing.assert_close(
            found["tokens"].values[row, : len(states)], states, rtol=1e-4, atol=1e-5
        )
        assert not found["tokens"].values[row, len(states) :].any()
        torch.testing.assert_close(
            found["mean"].values[row, 0], states.mean(0), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            found["pooled"].values[row, 0], out.pooler_output[0], rtol=1e-4, atol=1e-5
        )


POOLS = ("tokens", "pooled", "mean")


@pytest.mark.parametrize("family", ["Bert", "Roberta", "DistilBert", "MPNet"])
@pytest.mark.parametrize("last", [1, 2, 9])
def test_stem_and_last_layers_together_are_the_model(
    family: str, last: int, tmp_path: Path
) -> None:
    folder = saved(family, tmp_path)
    whole = encoded(TRAIN, params_of(model=str(folder), pool="tokens"))
    for tune in ("last_layers", "lora", "full"):
        if tune == "lora" and not importlib.util.find_spec("peft"):
            continue
        params = params_of(model=str(folder), pool="tokens", tune=tune, last=last)
        found = encoded(TRAIN, params)
        assert torch.equal(found.mask, whole.mask)
        torch.testing.assert_close(found.values[:4], whole.values[:4], rtol=1e-4, atol=1e-4)


def test_loading_prints_nothing(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoded(Texts(NOTES), params_of(model=str(bert)))
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_text_is_cut_at_what_the_model_or_the_study_allows(bert: Path) -> None:
    long = Texts(["fever " * 100])
    for wanted, length in ((128, 40), (10, 10)):
        params = params_of(model=str(bert), pool="tokens", length=wanted)
        state = ENCODER.fit(long, params)
        assert state["length"] == length == ENCODER.features(state, params).tokens

    class Unlimited:
        model_max_length = 10**30

    class Config:
        max_position_embeddings = 514

    assert limit(Unlimited(), Config(), 600) == 512


# ---------------------------------------------------------------------------- what trains


def trained(params: dict[str, Any]) -> set[str]:
    module = ENCODER.build(ENCODER.fit(TRAIN, params), params)
    return {name for name, p in module.named_parameters() if p.requires_grad}


def test_last_layers_train_and_their_stem_does_not() -> None:
    params = params_of(tune="last_layers", last=2)
    names = trained(params)
    assert {name.split(".")[3] for name in names} == {"0", "1"}
    assert all(name.startswith("network.encoder.layer.") for name in names)
    stem = ENCODER.stem(ENCODER.fit(TRAIN, params), params)
    assert stem is not None
    assert not stem.training
    assert not any(p.requires_grad for p in stem.parameters())
    assert not ENCODER.frozen(params)


@needs_peft
def test_lora_trains_its_own_matrices_alone() -> None:
    params = params_of(tune="lora", rank=4, last=3)
    state = ENCODER.fit(TRAIN, params)
    module = ENCODER.build(state, params).train()
    train = {name: p for name, p in module.named_parameters() if p.requires_grad}
    # 3 layers, query and value, A (4, 128) and B (128, 4)
    assert len(train) == 12
    assert all(".lora_" in name for name in train)
    assert {name.split(".")[6] for name in train} == {"query", "value"}
    assert sum(p.numel() for p in train.values()) == 3 * 2 * 2 * 4 * 128
    stem = ENCODER.stem(state, params)
    assert stem is not None
    arrays = stem(**ENCODER.prepare(TRAIN, state, params))
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    module(**arrays).values.pow(2).sum().backward()
    optimiser.step()
    changed = {n for n, p in module.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {name for name in train if ".lora_B" in name}  # A's gradient starts at zero


def test_full_trains_all_and_frozen_nothing() -> None:
    full = params_of(tune="full")
    state = ENCODER.fit(TRAIN, full)
    assert ENCODER.stem(state, full) is None
    assert len(trained(full)) == len(list(ENCODER.build(state, full).parameters()))
    assert trained(params_of()) == set()
    assert ENCODER.frozen(params_of())


# --------------------------------------------------------------------------------- random


def test_random_weights_and_pieces_are_the_same_in_every_process() -> None:
    code = (
        "from mmauto_hf.tokenizer import train_pieces; import hashlib;"
        "texts = ['fever cough chest pain legs swollen days', 'painful coughing feverish'] * 3;"
        "print(hashlib.sha1(repr(train_pieces(texts)).encode()).hexdigest())"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(3)
    }
    assert len(seen) == 1
    params = params_of()
    state = ENCODER.fit(TRAIN, params)
    torch.manual_seed(1)
    one = ENCODER.build(state, params).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(2)
    two = ENCODER.build(state, params).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)  # building draws nothing from the seed of training


def test_pieces_are_bert_like() -> None:
    pieces = train_pieces(["Fever fever fever Müde müde", "x"])
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"fever", "mude", "f", "##f"} <= set(pieces)
    state = ENCODER.fit(Texts(["Fever fever fever"]), params_of())
    ids = ENCODER.prepare(Texts(["FEVER", None]), state, params_of())["ids"]
    assert [state["pieces"][i] for i in ids[0].tolist()][:3] == ["[CLS]", "fever", "[SEP]"]
    assert not ids[1].any()


# --------------------------------------------------------------------------------- errors


def test_a_name_that_cannot_be_had_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*args: Any, **options: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(DataError) as caught:
        ENCODER.fit(TRAIN, params_of(model="bert-base-uncased"))
    assert str(caught.value) == (
        "the parameter `model` is a local folder or a name on the Hugging Face hub, "
        "'bert-base-uncased' is no folder here and could not be downloaded (no network); where "
        "there is a network, run: hf download bert-base-uncased --local-dir FOLDER, and give that "
        "folder (config.json, the tokenizer's files, model.safetensors) as `model`"
    )


def test_a_name_in_the_hubs_cache_needs_no_network(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = []

    def cached(name: str, **options: Any) -> str:
        asked.append((name, options["local_files_only"]))
        return str(bert)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    assert ENCODER.fit(TRAIN, params_of(model="owner/bert"))["dim"] == 32
    assert set(asked) == {("owner/bert", True)}


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Iterator[Path]:
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_weights_other_than_safetensors_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"from model\.safetensors alone, .* holds none"):
        ENCODER.fit(TRAIN, params_of(model=str(copy)))


def test_changed_weights_are_noticed(copy: Path) -> None:
    params = params_of(model=str(copy))
    state = ENCODER.fit(TRAIN, params)
    saved("Bert", copy, hidden_act="relu")
    assert fingerprint(copy) != state["weights"]
    with pytest.raises(DataError, match=r"the files in .* have changed"):
        ENCODER.build(state, params)


def test_a_folder_without_a_readable_configuration_or_tokenizer_is_refused(copy: Path) -> None:
    for file in copy.glob("tokenizer*"):
        file.unlink()
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"its own tokenizer, that of .* cannot be read"):
        ENCODER.fit(TRAIN, params_of(model=str(copy)))
    (copy / "config.json").write_text('{"model_type": "bought_it_elsewhere"}')
    with pytest.raises(DataError, match=r"config\.json that transformers knows"):
        ENCODER.fit(TRAIN, params_of(model=str(copy)))
    (copy / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    with pytest.raises(DataError, match=r"reads models of one text .* is a t5"):
        ENCODER.fit(TRAIN, params_of(model=str(copy)))


def test_weights_that_lack_or_do_not_fit_are_refused(copy: Path) -> None:
    from safetensors.torch import load, save_file

    # read, not mapped: older safetensors write into the file that a map still shows
    weights = load((copy / "model.safetensors").read_bytes())

    def build_without(start: str, pool: str) -> None:
        kept = {name: value for name, value in weights.items() if not name.startswith(start)}
        save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
        encoded(Texts(NOTES), params_of(model=str(copy), pool=pool))

    build_without("pooler", "mean")
    with pytest.raises(DataError, match=r"lacks 2, e\.g\. pooler.*or another `pool` than pooled"):
        build_without("pooler", "pooled")
    with pytest.raises(DataError, match=r"lacks 16, e\.g\. encoder\.layer\.1\..*another model$"):
        build_without("encoder.layer.1.", "mean")
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"is read by transformers, .* cannot be"):
        encoded(Texts(NOTES), params_of(model=str(copy)))


def test_pooled_needs_a_pooler(tmp_path: Path) -> None:
    params = params_of(model=str(saved("DistilBert", tmp_path)), pool="pooled")
    with pytest.raises(DataError, match="is a DistilBertModel without one; use pool = mean or"):
        encoded(Texts(NOTES), params)


@pytest.mark.parametrize(
    ("family", "config"), [("Electra", {"embedding_size": 16}), ("Albert", {})]
)
def test_an_architecture_that_cannot_be_cut_says_so(
    family: str, config: dict[str, Any], tmp_path: Path
) -> None:
    folder = str(saved(family, tmp_path, **config))
    encoded(Texts(NOTES), params_of(model=folder))
    with pytest.raises(DataError) as caught:
        encoded(Texts(NOTES), params_of(model=folder, tune="last_layers"))
    assert str(caught.value) == (
        "tune = last_layers or lora cuts a model between its layers, in a "
        f"{family}Model they are not recognised; use tune = frozen or full, or a model like BERT, "
        "RoBERTa or DistilBERT"
    )


def test_lora_without_peft_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError) as caught:
        ENCODER.fit(TRAIN, params_of(tune="lora"))
    assert str(caught.value) == (
        "hf_text with tune = lora needs the library peft, it is not installed; "
        'run: pip install "mmauto[peft]"'
    )
