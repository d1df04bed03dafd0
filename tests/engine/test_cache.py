"""Cached features: a changed ingredient is a miss, cached equals fresh, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmauto.data.columns import TabularValues
from mmauto.data.splits import Splits
from mmauto.engine.batches import Data
from mmauto.engine.digests import digest
from mmauto.engine.executor import Executor
from mmauto.engine.features import Features
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.model import seeded_build
from mmauto.registry import Registry


def encoded(setup: Setup, registry: Registry, factor: int = 1, key: str = "left") -> int:
    """Rows that were really encoded to get the inputs; 0 is a hit."""
    encoder = registry.encoder("toy_frozen")
    before = type(encoder).encoded
    Features(setup, registry, lambda text: None).inputs(key, "toy_frozen", {"factor": factor})
    return type(encoder).encoded - before


def test_the_second_use_encodes_nothing(setup: Setup, registry: Registry) -> None:
    assert encoded(setup, registry) == 240
    assert encoded(setup, registry) == 0


def test_a_changed_sample_is_a_miss(setup: Setup, registry: Registry) -> None:
    encoded(setup, registry)
    old = setup.dataset.columns["left"]
    assert isinstance(old, TabularValues)
    values = {name: array.copy() for name, array in old.values.items()}
    values["x"][5] += 1e-3
    columns = {**setup.dataset.columns, "left": TabularValues(values, old.fields)}
    changed = replace(setup, dataset=replace(setup.dataset, columns=columns))
    assert encoded(changed, registry) > 0


def test_other_names_of_the_same_rows_are_a_hit(setup: Setup, registry: Registry) -> None:
    encoded(setup, registry)
    ids = np.array([f"other{place}" for place in range(240)])
    assert encoded(replace(setup, dataset=replace(setup.dataset, ids=ids)), registry) == 0


def test_other_parameters_are_a_miss(setup: Setup, registry: Registry) -> None:
    encoded(setup, registry)
    assert encoded(setup, registry, factor=2) > 0


def test_changed_code_version_and_state_are_misses(
    setup: Setup, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(setup, registry)
    monkeypatch.setattr("mmauto.engine.features.code_digest", lambda encoder: "changed")
    assert encoded(setup, registry) > 0
    monkeypatch.undo()
    monkeypatch.setattr(Registry, "version_of", lambda *_: "mmauto-toys 2.0")
    assert encoded(setup, registry) > 0
    monkeypatch.undo()
    encoder = registry.encoder("toy_frozen")
    fit = type(encoder).fit
    # what was learned from another split's train rows must not be reused
    monkeypatch.setattr(
        type(encoder), "fit", lambda self, train, params: {**fit(self, train, params), "seen": 1}
    )
    order = np.arange(240)
    other = replace(setup, splits=Splits(order[:50], order[50:100], order[100:]))
    assert encoded(other, registry) > 0


@pytest.mark.parametrize("remembered", [False, True])
def test_a_state_is_remembered_only_where_the_encoder_says_so(
    setup: Setup, registry: Registry, monkeypatch: pytest.MonkeyPatch, remembered: bool
) -> None:
    """A file of weights that ``fit`` reads may have changed; a vocabulary cannot."""
    encoder = type(registry.encoder("toy_frozen"))
    monkeypatch.setattr(encoder, "remembered", remembered)
    encoded(setup, registry)
    fit = encoder.fit
    monkeypatch.setattr(
        encoder, "fit", lambda self, train, params: {**fit(self, train, params), "file": "other"}
    )
    assert (encoded(setup, registry) == 0) == remembered


def test_another_split_with_the_same_state_is_a_hit_but_has_its_own_statistics(
    setup: Setup, registry: Registry
) -> None:
    one = Features(setup, registry, lambda text: None).inputs("left", "toy_frozen", {})
    order = np.arange(240)
    other = replace(setup, splits=Splits(order[:50], order[50:100], order[100:]))
    before = type(registry.encoder("toy_frozen")).encoded
    two = Features(other, registry, lambda text: None).inputs("left", "toy_frozen", {})
    assert type(registry.encoder("toy_frozen")).encoded == before
    assert one.mean is not None
    assert two.mean is not None
    assert not torch.equal(one.mean, two.mean)


def test_cached_tokens_equal_fresh_ones_and_absent_rows_are_zero(
    setup: Setup, registry: Registry
) -> None:
    fresh = Features(setup, registry, lambda text: None).inputs("right", "toy_frozen", {})
    again = Features(setup, registry, lambda text: None).inputs("right", "toy_frozen", {})
    torch.testing.assert_close(fresh.arrays["values"], again.arrays["values"], rtol=0, atol=0)
    absent = ~fresh.present
    assert absent.any()
    assert not fresh.arrays["values"][absent].any()
    expected = [[row["x"]] for row in setup.dataset.columns["right"] if row is not None]
    np.testing.assert_allclose(
        fresh.arrays["values"][fresh.present][:, 0], expected, rtol=2e-3, atol=2e-3
    )


def test_statistics_come_from_present_train_rows(setup: Setup, registry: Registry) -> None:
    found = Features(setup, registry, lambda text: None).inputs("right", "toy_frozen", {})
    rows = [setup.dataset.columns["right"][int(place)] for place in setup.splits.train]
    known = [row["x"] for row in rows if row is not None]
    assert found.mean is not None
    assert found.mean.item() == pytest.approx(np.mean(known), abs=2e-3)


def test_models_read_features_scaled_by_the_deviations_of_present_train_rows(
    setup: Setup, registry: Registry, make_job: Callable[..., TrialJob]
) -> None:
    """Each feature by the root of its variance and the mean variance, half and half."""
    source = np.random.default_rng(3)
    wide = source.normal(5.0, [30.0, 2.0, 0.5], size=(240, 3))
    for rows in (setup.splits.valid, setup.splits.test):
        wide[rows] *= 50  # would change the scale a lot
    wide[source.random(240) < 0.2] = np.nan
    fields = dict.fromkeys("abc", "numeric")
    column = TabularValues(dict(zip("abc", wide.T, strict=True)), fields)
    columns = {**setup.dataset.columns, "left": column}
    setup = replace(setup, dataset=replace(setup.dataset, columns=columns))
    executor, job = Executor(setup, registry), make_job()
    inputs = executor.inputs(job)
    known = wide[setup.splits.train]
    known = known[~np.isnan(known).any(1)]
    scale = np.sqrt(0.5 * known.var(0) + 0.5 * known.var(0).mean())
    found = inputs["left"]
    assert found.scale is not None
    np.testing.assert_allclose(found.scale, scale, rtol=2e-3)
    model = seeded_build(job.candidate, inputs, setup.specs, registry, 0)
    arrays, _ = Data(setup, inputs, executor.loss).gather(torch.arange(240))
    read = model.encode(0, arrays["left"]).values[:, 0]
    wanted = (wide - known.mean(0)) / scale
    here = ~np.isnan(wide).any(1)
    np.testing.assert_allclose(read[here], wanted[here], rtol=5e-3, atol=2e-2)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": 1}, {"a": 1.5}),
        ({"a": "1"}, {"a": 1}),
        ([1, [2, 3]], [1, 2, 3]),
        ({"a": np.zeros(2)}, {"a": np.zeros(2, dtype=np.float32)}),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        ({"ab": 1, "c": 2}, {"a": 1, "bc": 2}),
    ],
)
def test_digests_tell_apart(one: object, two: object) -> None:
    assert digest(one) != digest(two)
    assert digest(one) == digest(one)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": torch.ones(2)}) == digest({"b": torch.ones(2), "a": 1})
