"""Forms of a frozen module: the same tokens, only faster; measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmauto.engine import forms
from mmauto.engine.bundle import Bundle
from mmauto.engine.cache import ArrayCache
from mmauto.engine.executor import Executor
from mmauto.engine.features import Features
from mmauto.engine.folding import folded
from mmauto.engine.forms import agrees, chosen, has_bf16, remembered, shaped
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.once import BF16, FOLDED, PLAIN, Formed
from mmauto.engine.source import Source, sample_digests
from mmauto.registry import Registry
from mmauto.values import Tokens


class ActivatedNorm(nn.BatchNorm2d):
    """As timm's: a norm that also holds what follows it."""

    def __init__(self, width: int):
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Net(nn.Module):
    """Two convolutions with norms; ``how`` makes the first pair unfit to be folded."""

    def __init__(self, how: str = ""):
        super().__init__()
        self.how = how
        self.one, self.first = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.two, self.second = nn.Conv2d(8, 16, 3), ActivatedNorm(16)
        for norm in (self.first, self.second):
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            nn.init.uniform_(norm.bias)

    def forward(self, pixels: Tensor) -> Tokens:
        x = self.one(pixels.float() / 255)
        normed = self.first(x.relu() if self.how == "between" else x)
        if self.how == "twice":
            normed = self.first(normed)
        if self.how == "skip":
            normed = normed + x
        maps = self.second(self.two(normed))
        values = maps.mean((2, 3)).unsqueeze(1)
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))


def net(how: str = "") -> Net:
    torch.manual_seed(0)
    return Net(how).eval().requires_grad_(False)


def pixels(rows: int = 16) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(1)
    return {"pixels": torch.randint(0, 256, (rows, 3, 12, 12), generator=source).byte()}


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(("how", "left"), [("", 0), ("between", 1), ("twice", 1), ("skip", 2)])
def test_norms_are_folded_only_where_nothing_changes(how: str, left: int) -> None:
    module = net(how)
    other = folded(module, pixels(2))
    assert (norms(module), norms(other)) == (2, left)
    torch.testing.assert_close(
        other(**pixels()).values, module(**pixels()).values, rtol=1e-4, atol=1e-5
    )


def test_every_form_gives_the_same_tokens() -> None:
    exact = shaped(net(), PLAIN, {})(**pixels())
    fold = shaped(net(), FOLDED, pixels())(**pixels())
    torch.testing.assert_close(fold["values"], exact["values"], rtol=1e-4, atol=1e-5)
    small = shaped(net(), BF16, pixels())(**pixels())
    assert small["values"].dtype == torch.float32
    torch.testing.assert_close(small["values"], exact["values"], rtol=0.02, atol=0.02)
    if has_bf16():
        assert not torch.equal(small["values"], fold["values"])


def test_without_bfloat16_that_form_runs_in_full_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "has_bf16", lambda: False)
    exact = shaped(net(), FOLDED, pixels())(**pixels())
    assert torch.equal(shaped(net(), BF16, pixels())(**pixels())["values"], exact["values"])
    assert BF16 not in chosen(net(), pixels())[1]


class Words(nn.Module):
    """Sums ids over the real positions of the longest text; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        longest = int(mask.sum(1).max())
        self.seen.append((len(ids), longest))
        return {"sum": (ids * mask)[:, :longest].sum(1, keepdim=True).float()}


def test_texts_of_like_length_run_together_and_come_back_in_order() -> None:
    lengths = torch.randint(1, 65, (100,), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(64) < lengths.unsqueeze(1)
    ids = torch.arange(6400).view(100, 64)
    words = Words()
    found = Formed(words)(ids=ids, mask=mask)["sum"]
    assert torch.equal(found[:, 0], (ids * mask).sum(1).float())
    assert [rows for rows, _ in words.seen] == [32, 32, 32, 4]
    longest = [length for _, length in words.seen]
    assert longest == sorted(longest)
    assert longest[0] < 32


# ------------------------------------------------------------------------------- choice


def rates(monkeypatch: pytest.MonkeyPatch, **given: float) -> None:
    """As if the forms had been measured so."""
    monkeypatch.setattr(forms, "has_bf16", lambda: True)
    monkeypatch.setattr(forms, "agrees", lambda *_: True)
    monkeypatch.setattr(forms, "_rates", lambda found, batch: {form: given[form] for form in found})


@pytest.mark.parametrize(
    ("plain", "fold", "half", "best"),
    [
        (100, 90, 80, PLAIN),
        (100, 104, 110, PLAIN),
        (100, 110, 125, FOLDED),
        (100, 110, 135, BF16),
        (100, 50, 130, BF16),
        (9000, 20_000, 30_000, PLAIN),
    ],
)
def test_a_form_must_gain_enough(
    monkeypatch: pytest.MonkeyPatch, plain: float, fold: float, half: float, best: str
) -> None:
    rates(monkeypatch, plain=plain, folded=fold, bf16=half)
    assert chosen(net(), pixels())[0] == best


def test_bfloat16_that_says_something_else_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rates(monkeypatch, plain=1, folded=1, bf16=100)
    monkeypatch.setattr(forms, "agrees", lambda *_: False)
    assert chosen(net(), pixels()) == (PLAIN, {"plain": 1, "folded": 1})


def test_a_real_measurement_gives_a_rate_a_form() -> None:
    form, found = chosen(net(), pixels())
    assert form in found
    assert set(found) <= {PLAIN, FOLDED, BF16}
    assert all(rate > 0 for rate in found.values())


def test_agreement_is_judged_by_direction_spread_and_masks() -> None:
    source = torch.Generator().manual_seed(0)
    values = torch.randn(16, 1, 50, generator=source)
    mask = torch.ones(16, 1, dtype=torch.bool)
    exact = {"values": values, "mask": mask}
    assert agrees(exact, {"values": values * 1.004, "mask": mask})
    assert not agrees(exact, {"values": values, "mask": ~mask})
    assert not agrees(exact, {"values": values + 0.1 * values.roll(1, 2), "mask": mask})
    # what all rows share is taken out by scaling, so it counts by itself
    alone = torch.zeros_like(values)
    alone[3] = 0.15
    high = {"values": values + 10, "mask": mask}
    assert agrees(high, {"values": high["values"] + 0.15 + alone, "mask": mask})
    assert not agrees(high, {"values": high["values"] + 0.3, "mask": mask})
    assert not agrees(high, {"values": high["values"] + 2 * alone, "mask": mask})
    # a large common part hides a small feature from the cosine, not from its spread
    far = {"values": values + 1000, "mask": mask}
    assert not agrees(far, {"values": far["values"].roll(1, 0), "mask": mask})
    assert not agrees(exact, {"values": values * float("nan"), "mask": mask})


def test_a_form_is_measured_once_for_an_encoder(tmp_path: Path) -> None:
    asked = []

    def measure() -> tuple[str, dict[str, float]]:
        asked.append(1)
        return (BF16, {"plain": 1.0, "bf16": 2.0}) if len(asked) == 1 else (PLAIN, {})

    assert remembered(tmp_path, {"encoder": "a"}, measure) == BF16
    assert remembered(tmp_path, {"encoder": "a"}, measure) == BF16
    assert remembered(tmp_path, {"encoder": "b"}, measure) == PLAIN
    assert len(asked) == 2
    kept = [json.loads(file.read_text()) for file in (tmp_path / "forms").glob("*.json")]
    (first,) = [about for about in kept if about["encoder"] == "a"]
    assert first["rows_per_second"] == {"plain": 1.0, "bf16": 2.0}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"form": "other"}'])
def test_a_damaged_file_is_measured_again(tmp_path: Path, damage: str) -> None:
    def measure() -> tuple[str, dict[str, float]]:
        return BF16, {}

    remembered(tmp_path, {"encoder": "a"}, measure)
    (file,) = (tmp_path / "forms").glob("*.json")
    file.write_text(damage)
    assert remembered(tmp_path, {"encoder": "a"}, measure) == BF16
    assert json.loads(file.read_text())["form"] == BF16


@pytest.mark.parametrize("change", ["torch", "threads", "has_bf16"])
def test_another_machine_measures_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    remembered(tmp_path, {}, lambda: (FOLDED, {}))
    if change == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9")
    elif change == "has_bf16":
        monkeypatch.setattr(forms, change, lambda: 99)
    threads = 2 if change == "threads" else 1
    assert remembered(tmp_path, {}, lambda: (PLAIN, {}), threads) == PLAIN


# ----------------------------------------------------------------------- in the features


def test_long_columns_are_measured_and_the_form_is_kept(
    setup: Setup,
    registry: Registry,
    make_job: Callable[..., TrialJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    made = Features(setup, registry, said.append).inputs("left", "toy_frozen", {})
    assert made.form == PLAIN  # too few rows to measure
    assert not (Path(setup.cache) / "forms").exists()
    monkeypatch.setattr("mmauto.engine.source.FEW", 100)
    monkeypatch.setattr("mmauto.engine.source.chosen", lambda *_: (FOLDED, {}))
    # what is in the cache stays as it is
    assert Features(setup, registry, said.append).inputs("left", "toy_frozen", {}).form == PLAIN
    fresh = replace(setup, cache=str(tmp_path / "fresh"))
    made = Features(fresh, registry, said.append).inputs("left", "toy_frozen", {})
    assert "measuring how toy_frozen runs fastest" in said
    assert made.form == FOLDED
    once = made.once()
    assert isinstance(once, Formed)
    assert once.form == FOLDED
    job = make_job(bundle=str(tmp_path / "bundle"))
    Executor(fresh, registry).run_pack([job], lambda epoch, values: dict.fromkeys(values, True))
    bundle = Bundle(tmp_path / "bundle", registry)
    assert bundle.about["columns"]["left"]["form"] == FOLDED
    assert bundle.inputs("left", setup.dataset.columns["left"]).form == FOLDED
    # older bundles say nothing of a form
    del bundle.about["columns"]["left"]["form"]
    assert bundle.inputs("left", setup.dataset.columns["left"]).form == PLAIN


@pytest.mark.parametrize(("held", "form", "anew"), [(200, PLAIN, 40), (100, FOLDED, 240)])
def test_a_table_that_grew_keeps_the_form_of_most_rows(
    setup: Setup,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    form: str,
    anew: int,
) -> None:
    """Or all rows would be encoded anew as soon as there are enough to measure."""
    monkeypatch.setattr("mmauto.engine.source.FEW", 230)
    monkeypatch.setattr("mmauto.engine.source.chosen", lambda *_: (FOLDED, {}))
    encoder: Any = registry.encoder("toy_frozen")
    cache, counts = ArrayCache(tmp_path / "cache"), []

    def encode(rows: int) -> str:
        column = setup.dataset.columns["left"].take(np.arange(rows))
        state, samples = encoder.fit(column, {}), sample_digests(column)
        source = Source(
            "left", column, encoder, {}, state, torch.device("cpu"), 1, lambda text: None
        )
        before = type(encoder).encoded
        found = source.form(cache, {}, samples)
        source.arrays(cache, {"form": found}, samples, found)
        counts.append(type(encoder).encoded - before)
        return found

    assert [encode(held), encode(240)] == [PLAIN, form]
    assert counts == [held, anew]
