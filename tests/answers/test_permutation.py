"""The swap test agrees with brute force, for every metric, and keeps its level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmauto.answers.permutation import SwapTest, holm
from mmauto.engine.metrics import METRICS, score
from mmauto.values import Kind, TargetSpec

SPECS = {
    "binary": TargetSpec("y", "binary", ("no", "yes")),
    "multiclass": TargetSpec("y", "multiclass", ("a", "b", "c")),
    "multilabel": TargetSpec("y", "multilabel", ("a", "b")),
    "regression": TargetSpec("y", "regression"),
}
CASES = [(kind, name) for name, metric in METRICS.items() for kind in metric.kinds]


def drawn(
    kind: Kind, rows: int, seeds: int, source: np.random.Generator, skill: float = 1.0
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Labels and the predictions of two arms; the first knows more where ``skill`` is positive."""
    truth: np.ndarray
    if kind == "regression":
        truth = source.normal(size=rows)
        signal = truth[:, None]
    elif kind == "multilabel":
        truth = (source.random((rows, 2)) < 0.5).astype(float)
        truth[:2] = [[0, 1], [1, 0]]
        signal = truth
    else:
        count = len(SPECS[kind].classes)
        truth = np.r_[np.arange(count), source.integers(count, size=rows - count)]
        signal = (truth == 1)[:, None] if kind == "binary" else np.eye(count)[truth]

    def run(knows: float) -> np.ndarray:
        given = knows * signal + source.normal(size=signal.shape)
        if kind == "regression":
            return given
        if kind == "multiclass":
            return np.exp(given) / np.exp(given).sum(1, keepdims=True)
        return np.round(1 / (1 + np.exp(-given)), 1)  # rounded: ties are part of the matter

    return truth, [run(skill) for _ in range(seeds)], [run(0.0) for _ in range(seeds)]


def brute_force(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    ours: list[np.ndarray],
    theirs: list[np.ndarray],
    units: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The difference as it is, and after each of all possible swaps."""
    found = []
    for swap in itertools.product((False, True), repeat=int(units.max()) + 1):
        moved = np.array(swap)[units][:, None]
        each = [
            score(metric, spec, truth, np.where(moved, b, a))
            - score(metric, spec, truth, np.where(moved, a, b))
            for a, b in zip(ours, theirs, strict=True)
        ]
        found.append(np.mean(each))
    return found[0], np.array(found)


@pytest.mark.parametrize(
    ("kind", "metric", "grouped"),
    [(*case, False) for case in CASES]
    + [("multiclass", metric, True) for metric in ("f1", "auroc", "average_precision")],
)
def test_the_p_value_is_that_of_all_possible_swaps(kind: Kind, metric: str, grouped: bool) -> None:
    source = np.random.default_rng(1)
    rows = 14 if grouped else 7
    truth, ours, theirs = drawn(kind, rows, 2, source, skill=2.0)
    units = np.arange(rows) // 2 if grouped else np.arange(rows)
    groups = np.array([f"g{unit}" for unit in units]) if grouped else None
    value, every = brute_force(metric, SPECS[kind], truth, ours, theirs, units)
    known = np.isfinite(every)
    exact = (np.abs(every[known]) >= abs(value) - 1e-9).mean()
    test = SwapTest(metric, SPECS[kind], truth, groups, swaps=4000)
    found = test.p_values({"pair": (ours, theirs)})["pair"]
    assert found == pytest.approx(exact, abs=0.03)


def test_a_clear_difference_has_the_least_p_value_and_none_has_the_greatest() -> None:
    source = np.random.default_rng(0)
    truth, ours, theirs = drawn("multiclass", 400, 3, source, skill=3.0)
    test = SwapTest("balanced_accuracy", SPECS["multiclass"], truth, None)
    found = test.p_values({"clear": (ours, theirs), "none": (ours, ours)})
    assert found == {"clear": pytest.approx(1e-4), "none": 1.0}


def test_unobserved_rows_take_no_part() -> None:
    source = np.random.default_rng(3)
    truth, ours, theirs = drawn("multiclass", 60, 2, source, skill=1.0)
    spec = SPECS["multiclass"]
    less = truth.copy()
    less[40:] = -1
    whole = SwapTest("accuracy", spec, less, None).p_values({"x": (ours, theirs)})
    short = [[run[:40] for run in side] for side in (ours, theirs)]
    part = SwapTest("accuracy", spec, truth[:40], None).p_values({"x": (short[0], short[1])})
    assert whole == part


def test_an_undefined_metric_has_no_p_value() -> None:
    given = [np.full((4, 1), 0.5)]
    found = SwapTest("auroc", SPECS["binary"], np.ones(4), None).p_values({"x": (given, given)})
    assert np.isnan(found["x"])


def test_rows_of_a_group_are_no_independent_evidence() -> None:
    source = np.random.default_rng(5)
    truth, ours, theirs = drawn("multiclass", 12, 1, source, skill=2.0)
    many = np.repeat(np.arange(12), 20)  # each row twenty times
    spec = SPECS["multiclass"]
    copies = {"x": ([ours[0][many]], [theirs[0][many]])}
    grouped = SwapTest("accuracy", spec, truth[many], many.astype(str)).p_values(copies)["x"]
    alone = SwapTest("accuracy", spec, truth, None).p_values({"x": (ours, theirs)})["x"]
    naive = SwapTest("accuracy", spec, truth[many], None).p_values(copies)["x"]
    assert grouped == pytest.approx(alone, abs=0.02)
    assert naive < alone / 4


@pytest.mark.parametrize("metric", ["auroc", "f1", "accuracy"])
def test_without_a_difference_one_in_twenty_is_significant(metric: str) -> None:
    source = np.random.default_rng(7)
    found = []
    for _ in range(300):
        truth, _, ours = drawn("binary", 60, 2, source)
        _, _, theirs = drawn("binary", 60, 2, source)
        test = SwapTest(metric, SPECS["binary"], truth, None, swaps=199)
        found.append(test.p_values({"x": (ours, theirs)})["x"])
    share = np.mean(np.array(found) <= 0.05)
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert share >= 0.01  # a test that never finds anything keeps its level, too


def test_holm_as_in_its_definition() -> None:
    # multipletests(method="holm") of statsmodels gives the same figures
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": np.nan})
    assert found["d"] == pytest.approx(0.02)
    assert found["a"] == pytest.approx(0.03)
    assert found["c"] == pytest.approx(0.06)
    assert found["b"] == pytest.approx(0.06)  # never less than that of a smaller p value
    assert np.isnan(found["e"])
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("metric", ["average_precision", "auroc", "f1"])
def test_every_metric_is_swapped_ten_thousand_times(metric: str) -> None:
    source = np.random.default_rng(4)
    truth, ours, theirs = drawn("multiclass", 80, 1, source, skill=4.0)
    found = SwapTest(metric, SPECS["multiclass"], truth, None).p_values({"x": (ours, theirs)})
    assert found["x"] == pytest.approx(1e-4)
