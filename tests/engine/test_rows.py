"""Only new or changed samples are encoded again; whatever is reused is what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmauto.data.columns import TabularValues
from mmauto.engine.features import Features
from mmauto.engine.jobs import Setup
from mmauto.registry import Registry
from mmauto.values import Column

Remake = Callable[..., Setup]


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    # it encodes a few rows, which these tests would count
    monkeypatch.setattr("mmauto.engine.source.FEW", 10**9)


def change(setup: Setup, key: str, edit: Callable[[np.ndarray], np.ndarray | None]) -> Setup:
    """The same data with the values ``x`` of a column edited, in place or anew."""
    old = setup.dataset.columns[key]
    assert isinstance(old, TabularValues)
    values = {name: array.copy() for name, array in old.values.items()}
    edited = edit(values["x"])
    values["x"] = values["x"] if edited is None else edited
    columns = {**setup.dataset.columns, key: TabularValues(values, old.fields)}
    return replace(setup, dataset=replace(setup.dataset, columns=columns))


def tokens(
    setup: Setup, registry: Registry, key: str = "left", **params: Any
) -> tuple[Tensor, int, list[str]]:
    """Values (N, 1, D), how many rows were encoded for them, and what was said."""
    said: list[str] = []
    encoder = type(registry.encoder("toy_frozen"))
    before = encoder.encoded
    made = Features(setup, registry, said.append).inputs(key, "toy_frozen", params)
    assert made.arrays["mask"].all()
    return made.arrays["values"], encoder.encoded - before, said


def fresh(setup: Setup, registry: Registry, folder: Path, key: str = "left") -> Tensor:
    """The same values without anything to reuse."""
    values, encoded, _ = tokens(replace(setup, cache=str(folder)), registry, key)
    assert encoded
    return values


def test_ten_changed_rows_of_two_thousand_are_ten_encoded(
    remake_setup: Remake, registry: Registry, tmp_path: Path
) -> None:
    setup = remake_setup(rows=2000)
    assert tokens(setup, registry)[1] == 2000

    def edit(values: np.ndarray) -> None:
        values[5:2000:200] += 1

    changed = change(setup, "left", edit)
    values, encoded, said = tokens(changed, registry)
    assert encoded == 10
    assert said[0] == "encoding left with toy_frozen: 0 of 10 (1,990 rows known)"
    assert said[-1] == "encoding left with toy_frozen: 10 of 10 (1,990 rows known)"
    assert torch.equal(values, fresh(changed, registry, tmp_path / "other"))


def test_rows_in_another_order_are_not_encoded_and_follow_it(
    setup: Setup, registry: Registry
) -> None:
    before = tokens(setup, registry)[0]
    order = np.random.default_rng(3).permutation(240)
    columns = {key: column.take(order) for key, column in setup.dataset.columns.items()}
    turned = replace(setup, dataset=replace(setup.dataset, columns=columns))
    after, encoded, _ = tokens(turned, registry)
    assert encoded == 0
    assert torch.equal(after, before[torch.from_numpy(order)])


def test_a_sample_that_appears_or_goes_is_never_taken_for_another(
    setup: Setup, registry: Registry, tmp_path: Path
) -> None:
    tokens(setup, registry, "right")
    present = setup.dataset.columns["right"].present
    gone, back = int(np.flatnonzero(present)[0]), int(np.flatnonzero(~present)[0])

    def edit(values: np.ndarray) -> None:
        values[gone], values[back] = np.nan, 0.0  # zero: what a missing sample is prepared as

    changed = change(setup, "right", edit)
    values, encoded, _ = tokens(changed, registry, "right")
    assert encoded == 1
    assert not values[gone].any()
    assert torch.equal(values, fresh(changed, registry, tmp_path / "other", "right"))


def test_long_runs_of_edits_equal_no_cache(
    setup: Setup, registry: Registry, tmp_path: Path
) -> None:
    source = np.random.default_rng(0)

    def edit(values: np.ndarray) -> np.ndarray:
        rows = source.integers(0, 240, 5)
        values[rows] = source.choice([np.nan, 0.0, 1.0, 2.5, *source.normal(size=4)], 5)
        return source.permutation(values) if source.random() < 0.5 else values

    for step in range(12):
        setup = change(setup, "right", edit)
        values, encoded, _ = tokens(setup, registry, "right")
        assert torch.equal(values, fresh(setup, registry, tmp_path / str(step), "right"))
        assert step == 0 or encoded <= 5


def shift_first(values: np.ndarray) -> None:
    values[0] += 1


def other_code(patch: pytest.MonkeyPatch, encoder: type) -> None:
    patch.setattr("mmauto.engine.features.code_digest", lambda encoder: "changed")


def other_version(patch: pytest.MonkeyPatch, encoder: type) -> None:
    patch.setattr(Registry, "version_of", lambda *_: "mmauto-toys 2.0")


def other_torch(patch: pytest.MonkeyPatch, encoder: type) -> None:
    patch.setattr(torch, "__version__", "9.9")


def other_state(patch: pytest.MonkeyPatch, encoder: type) -> None:
    fit = encoder.fit  # type: ignore[attr-defined]
    patch.setattr(encoder, "fit", lambda self, *given: {**fit(self, *given), "seen": 1})


def other_form(patch: pytest.MonkeyPatch, encoder: type) -> None:
    patch.setattr("mmauto.engine.source.Source.form", lambda *_: "bf16")


@pytest.mark.parametrize("other", [other_code, other_version, other_torch, other_state, other_form])
def test_rows_of_another_key_are_not_reused(
    setup: Setup,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[pytest.MonkeyPatch, type], None],
) -> None:
    tokens(setup, registry)
    other(monkeypatch, type(registry.encoder("toy_frozen")))
    assert tokens(change(setup, "left", shift_first), registry)[1] == 240


def test_rows_of_other_parameters_are_not_reused(setup: Setup, registry: Registry) -> None:
    tokens(setup, registry, factor=1)
    assert tokens(change(setup, "left", shift_first), registry, factor=2)[1] == 240


def test_rows_with_other_fields_are_not_reused(setup: Setup, registry: Registry) -> None:
    tokens(setup, registry)
    old = setup.dataset.columns["left"]
    assert isinstance(old, TabularValues)
    renamed = TabularValues(
        {"x": old.values["x"], "m": old.values["n"]}, {"x": "numeric", "m": "numeric"}
    )
    columns = {**setup.dataset.columns, "left": renamed}
    assert tokens(replace(setup, dataset=replace(setup.dataset, columns=columns)), registry)[1]


class Whole:
    """A column that knows a digest of itself as a whole only."""

    modality = "tabular"

    def __init__(self, inner: TabularValues):
        self.inner, self.fields, self.present = inner, inner.fields, inner.present

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, row: int) -> Any:
        return self.inner[row]

    def take(self, rows: np.ndarray) -> Column:
        return self.inner.take(rows)

    def digest(self) -> str:
        return self.inner.digest()


def test_a_column_without_digests_of_samples_is_reused_as_a_whole(
    setup: Setup, registry: Registry
) -> None:
    def whole(given: Setup) -> Setup:
        inner = given.dataset.columns["left"]
        assert isinstance(inner, TabularValues)
        columns: Mapping[str, Any] = {**given.dataset.columns, "left": Whole(inner)}
        return replace(given, dataset=replace(given.dataset, columns=columns))

    assert tokens(whole(setup), registry)[1] == 240
    assert tokens(whole(setup), registry)[1] == 0
    assert tokens(whole(change(setup, "left", shift_first)), registry)[1] == 240


def test_values_beyond_half_precision_keep_their_own(setup: Setup, registry: Registry) -> None:
    def edit(values: np.ndarray) -> None:
        values[3] = 1e6

    large = change(setup, "left", edit)
    values, encoded, _ = tokens(large, registry)
    assert (values.dtype, encoded) == (torch.float32, 480)
    assert values[3, 0].max().item() == 1e6
    again, encoded, _ = tokens(large, registry)
    assert (again.dtype, encoded) == (torch.float32, 0)
    values, encoded, _ = tokens(setup, registry)  # without it, half precision as ever
    assert (values.dtype, encoded) == (torch.float16, 240)


def test_trained_encoders_reuse_prepared_rows(setup: Setup, registry: Registry) -> None:
    said: list[str] = []
    Features(setup, registry, said.append).inputs("left", "toy_trained", {})
    assert said[0] == "preparing left for toy_trained: 0 of 240"
    said.clear()
    changed = change(setup, "left", shift_first)
    made = Features(changed, registry, said.append).inputs("left", "toy_trained", {})
    assert said[-1] == "preparing left for toy_trained: 1 of 1 (239 rows known)"
    expected = registry.encoder("toy_trained").prepare(
        changed.dataset.columns["left"], made.state, {}
    )
    torch.testing.assert_close(made.arrays["numbers"], expected["numbers"], rtol=0, atol=0)


def test_progress_advances_within_a_long_encoding(remake_setup: Remake, registry: Registry) -> None:
    said = tokens(remake_setup(rows=500), registry)[2]
    numbers = [int(text.split(": ")[1].split()[0]) for text in said]
    assert numbers == [0, 128, 256, 384, 500]
