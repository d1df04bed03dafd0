"""Subgroups: known gaps are found, chance is not, small ones are left alone, groups count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from mmauto.answers.shuffle import LabelShuffle
from mmauto.answers.subgroups import Subgroup, subgroups
from mmauto.engine.metrics import score
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec
from mmauto.views import ConfirmationView, StudyView

BASE = fake_study()
WINNER, REFERENCE = str(BASE.comparison.winner), str(BASE.comparison.reference)
YES = TargetSpec("y", "binary", ("no", "yes"))
THREE = TargetSpec("y", "multiclass", ("a", "b", "c"))
NUMBER = TargetSpec("y", "regression")
TAGS = TargetSpec("y", "multilabel", ("a", "b"))


def study(
    spec: TargetSpec,
    metric: str,
    truth: np.ndarray,
    runs: Sequence[np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray | None = None,
    reference: Sequence[np.ndarray] = (),
) -> StudyView:
    """A study with these predictions of the winner, one a seed."""
    given = {WINNER: runs, REFERENCE: reference}
    return replace(
        BASE,
        task=replace(BASE.task, targets={"y": spec}, primary="y", metric=metric),
        confirmations=[
            ConfirmationView(arm, seed, 0, {}, 0.5, test={"y": run})
            for arm, own in given.items()
            for seed, run in enumerate(own)
        ],
        truth={"valid": {}, "test": {"y": truth}},
        groups={"test": groups},
        subgroups={"sex": labels},
    )


def answers_with(hits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 1) predictions that are right where ``hits`` says so."""
    return np.where(hits, truth, 1 - truth)[:, None] * 0.8 + 0.1


def served(seed: int, rows: int, rates: Sequence[float], seeds: int = 3) -> StudyView:
    """Accuracy by subgroup as ``rates`` says; seeds agree on most rows."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(rates), rows)
    truth = rng.integers(0, 2, rows).astype(float)
    draw = rng.random(rows)
    runs = []
    for _ in range(seeds):
        own = np.where(rng.random(rows) < 0.2, rng.random(rows), draw)
        runs.append(answers_with(own < np.asarray(rates)[places], truth))
    return study(YES, "accuracy", truth, runs, np.array(list("abcdef"))[places].astype(object))


def by_label(found: Sequence[Subgroup], arm: str = WINNER) -> dict[str, Subgroup]:
    return {one.label: one for one in found if one.arm == arm}


# ------------------------------------------------------------------------------ known answers


def test_a_subgroup_that_is_served_worse_is_found_with_its_size() -> None:
    found = by_label(subgroups(served(0, 900, (0.9, 0.7, 0.9))))
    assert list(found) == ["a", "b", "c"]
    assert found["b"].differs
    assert found["b"].p_holm < 0.001
    assert found["b"].gap.value == pytest.approx(-0.2, abs=0.05)
    assert found["b"].gap.low < -0.2 < found["b"].gap.high
    assert found["b"].value.low < 0.7 < found["b"].value.high
    assert [one.tests for one in found.values()] == [3, 3, 3]


@pytest.mark.parametrize(
    ("spec", "metric"),
    [
        *((YES, "auroc"), (YES, "f1"), (THREE, "balanced_accuracy"), (THREE, "auroc")),
        *((NUMBER, "rmse"), (NUMBER, "r2"), (TAGS, "average_precision")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_values_and_gaps_are_the_metric_of_those_rows(spec: TargetSpec, metric: str) -> None:
    rng = np.random.default_rng(1)
    truth, width = {
        "binary": (rng.integers(0, 2, 200).astype(float), 1),
        "multiclass": (rng.integers(0, 3, 200), 3),
        "multilabel": (rng.integers(0, 2, (200, 2)).astype(float), 2),
        "regression": (rng.normal(size=200), 1),
    }[spec.kind]
    runs = [rng.random((200, width)) for _ in range(2)]
    labels = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, 200)]
    found = by_label(subgroups(study(spec, metric, truth, runs, labels), shuffles=99))
    values = {
        name: np.mean([score(metric, spec, truth[mask], run[mask]) for run in runs])
        for name, mask in (("a", labels == "a"), ("b", labels == "b"))
    }
    sign = -1 if metric == "rmse" else 1
    for one in found.values():
        assert one.value.value == pytest.approx(values[one.label])
        assert one.value.low <= one.value.value <= one.value.high
    assert found["a"].gap.value == pytest.approx(sign * (values["a"] - values["b"]))
    assert found["b"].gap.value == pytest.approx(-found["a"].gap.value)
    assert found["a"].p == found["b"].p == found["a"].p_holm  # one gap from both sides


@pytest.mark.parametrize("metric", ["accuracy", "auroc"])
def test_the_p_value_is_that_of_all_permutations(metric: str) -> None:
    rng = np.random.default_rng(3)
    truth = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1.0])
    run = rng.random((10, 1)).round(1)  # some scores tie
    codes = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])

    def gap(inside: np.ndarray) -> float:
        one, two = (score(metric, YES, truth[rows], run[rows]) for rows in (inside, ~inside))
        return abs(one - two)

    every = [np.isin(np.arange(10), chosen) for chosen in combinations(range(10), 4)]
    exact = np.mean([not gap(inside) < gap(codes == 0) - 1e-9 for inside in every])
    test = LabelShuffle(metric, YES, truth, codes, shuffles=4000)
    assert test.p_values([[run]], [0])[0, 0] == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("metric", ["accuracy", "auroc", "average_precision"])
def test_every_metric_is_shuffled_ten_thousand_times(metric: str) -> None:
    rng = np.random.default_rng(0)
    codes, truth = np.repeat([0, 1], 60), np.tile([0.0, 1.0], 60)
    run = np.where(codes == 0, truth, 1 - truth)[:, None] * 0.5 + 0.4 * rng.random((120, 1))
    test = LabelShuffle(metric, YES, truth, codes)
    assert test.p_values([[run]], [0])[0, 0] == pytest.approx(1e-4)


def test_of_groups_whole_ones_change_their_label() -> None:
    units = np.repeat(np.arange(8), 3)
    truth, right = np.ones(24), np.repeat([1, 1, 0, 1, 0, 0, 1, 0], 3)
    codes = np.repeat([0, 0, 0, 0, 1, 1, 1, 1], 3)
    run = answers_with(right > 0, truth)
    # 3 of 4 right in one half and 1 of 4 in the other: 34 of the 70 halves are as uneven
    test = LabelShuffle("accuracy", YES, truth, codes, units, shuffles=4000)
    assert test.p_values([[run]], [0])[0, 0] == pytest.approx(34 / 70, abs=0.03)


def test_the_reference_is_asked_too() -> None:
    view = served(1, 600, (0.9, 0.7))
    wrong = [1 - run.test["y"] for run in view.confirmations]
    truth, labels = view.truth["test"]["y"], view.subgroups["sex"]
    runs = [run.test["y"] for run in view.confirmations]
    found = subgroups(study(YES, "accuracy", truth, runs, labels, reference=wrong))
    assert [one.arm for one in found] == [WINNER, REFERENCE] * 2
    assert by_label(found)["b"].gap.value < 0 < by_label(found, REFERENCE)["b"].gap.value


def test_decisions_are_made_at_the_threshold_of_validation() -> None:
    view = served(2, 300, (0.9, 0.9))
    cut = {"y": np.array([0.95])}
    moved = replace(view, confirmations=[replace(r, thresholds=cut) for r in view.confirmations])
    truth, labels = view.truth["test"]["y"], view.subgroups["sex"]
    assert by_label(subgroups(moved, 99))["a"].value.value == pytest.approx(
        1 - truth[labels == "a"].mean()
    )


# ------------------------------------------------------------------------------ chance


def false_alarms(views: Sequence[StudyView]) -> float:
    """Share of studies in which any subgroup is said to differ."""
    return float(np.mean([any(one.differs for one in subgroups(v, 199)) for v in views]))


@pytest.mark.slow
def test_without_a_gap_alarms_are_rare() -> None:
    assert false_alarms([served(seed, 150, (0.8, 0.8, 0.8), 1) for seed in range(200)]) <= 0.05


def by_patient(seed: int, patients: int, sizes: Sequence[int]) -> StudyView:
    """Whole patients are easy or hard, whatever their sex."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), rng.choice(sizes, patients))
    truth = rng.integers(0, 2, len(groups)).astype(float)
    hits = rng.random(len(groups)) < rng.choice([0.3, 1.0], patients)[groups]
    labels = np.array(["f", "m"], dtype=object)[rng.integers(0, 2, patients)[groups]]
    names = np.array([f"p{group}" for group in groups], dtype=object)
    return study(YES, "accuracy", truth, [answers_with(hits, truth)], labels, names)


@pytest.mark.slow
def test_rows_of_one_group_are_no_independent_witnesses() -> None:
    views = [by_patient(seed, 30, (2, 8, 14)) for seed in range(200)]
    assert false_alarms(views) <= 0.05
    assert false_alarms([replace(view, groups={"test": None}) for view in views[:100]]) > 0.15


def test_a_gap_that_differs_between_rows_of_a_group_is_found() -> None:
    view = served(4, 600, (0.95, 0.75))
    pairs = np.array([f"p{row // 2}" for row in range(600)], dtype=object)
    assert by_label(subgroups(replace(view, groups={"test": pairs}), 999))["b"].differs


@pytest.mark.slow
def test_a_gap_that_would_have_been_seen_is_seen_four_times_out_of_five() -> None:
    # from few seeds a single study knows its own error but roughly
    even = [served(seed, 300, (0.85, 0.85)) for seed in range(30)]
    first = float(np.mean([by_label(subgroups(v, 99))["a"].detectable for v in even]))
    views = [served(seed, 300, (0.85 + first / 2, 0.85 - first / 2)) for seed in range(60)]
    assert np.mean([by_label(subgroups(v, 199))["b"].differs for v in views]) == pytest.approx(
        0.8, abs=0.15
    )


# ------------------------------------------------------------------------------ too small


def test_few_rows_are_shown_and_not_judged() -> None:
    view = served(0, 300, (0.9, 0.7))
    labels = view.subgroups["sex"].copy()
    labels[:20] = "(missing)"
    found = by_label(subgroups(replace(view, subgroups={"sex": labels}), 99))
    assert list(found) == ["a", "b", "(missing)"]
    assert found["(missing)"].small == "under 30 rows"
    assert np.isfinite(found["(missing)"].value.value)
    assert np.isnan(found["(missing)"].p_holm)
    assert not found["(missing)"].differs
    assert found["a"].tests == 2  # the third makes their gaps two


def test_nearly_all_rows_have_too_few_others() -> None:
    view = served(0, 100, (0.9, 0.7))
    labels = np.array(["a"] * 90 + ["b"] * 10, dtype=object)
    found = by_label(subgroups(replace(view, subgroups={"sex": labels}), 99))
    assert (found["a"].small, found["b"].small) == ("under 30 other rows", "under 30 rows")


def test_one_class_cannot_be_judged_by_a_metric_that_needs_both() -> None:
    view = served(0, 200, (0.9, 0.9))
    labels = view.subgroups["sex"]
    truth = np.where(labels == "a", 1.0, view.truth["test"]["y"])
    runs = [run.test["y"] for run in view.confirmations]
    found = by_label(subgroups(study(YES, "auroc", truth, runs, labels), 99))
    assert found["a"].small == "one class only"
    assert found["b"].small == "one class only in the other rows"
    assert np.isnan(found["a"].value.value)
    assert np.isnan(found["a"].gap.value)
    assert found["a"].positives == found["a"].rows
    assert not by_label(subgroups(study(YES, "accuracy", truth, runs, labels), 99))["a"].small


def test_a_metric_that_is_nowhere_defined_is_no_answer() -> None:
    truth, labels = np.tile([[0.0, 1.0]], (90, 1)), np.array(["a", "b"] * 45, dtype=object)
    found = by_label(subgroups(study(TAGS, "auroc", truth, [np.full((90, 2), 0.5)], labels), 9))
    assert {one.small for one in found.values()} == {"metric not defined"}


def test_few_groups_are_not_judged_however_many_rows_they_have() -> None:
    view = served(0, 300, (0.9, 0.7))
    labels = np.array(["a"] * 100 + ["b"] * 200, dtype=object)
    groups = np.array([f"p{row // 25}" for row in range(300)], dtype=object)
    found = by_label(subgroups(replace(view, subgroups={"sex": labels}, groups={"test": groups})))
    assert found["a"].small == "under 5 groups"
    assert found["b"].small == "under 5 other groups"


def test_the_groups_themselves_are_judged_by_their_rows() -> None:
    view = served(0, 600, (0.9, 0.7))
    hospitals = view.subgroups["sex"]
    found = by_label(subgroups(replace(view, groups={"test": hospitals}), 999))
    assert found["b"].differs


def test_rows_without_a_label_do_not_count() -> None:
    view = served(0, 200, (0.9, 0.9))
    truth = view.truth["test"]["y"].copy()
    truth[:50] = np.nan
    found = by_label(subgroups(replace(view, truth={"valid": {}, "test": {"y": truth}}), 99))
    assert sum(one.rows for one in found.values()) == 150


# ------------------------------------------------------------------------------ the rest


def test_labels_stand_in_the_order_of_their_numbers() -> None:
    names = [
        "over 67.5", "(missing)", "9 to 41", "up to 9", "41 to 67.5", "-3", "b", "a", "(other)",
    ]  # fmt: skip
    view = served(0, 9 * 40, (0.9,))
    labels = np.array(names * 40, dtype=object)
    found = by_label(subgroups(replace(view, subgroups={"age": labels}), 9))
    assert list(found) == [
        "-3", "up to 9", "9 to 41", "41 to 67.5", "over 67.5", "a", "b", "(missing)", "(other)",
    ]  # fmt: skip
    assert found["9 to 41"].name == "age 9 to 41"


def test_a_study_without_subgroups_or_results_has_no_answer() -> None:
    assert subgroups(BASE) == []
    view = served(0, 100, (0.9, 0.7))
    assert subgroups(replace(view, confirmations=())) == []


def test_the_same_study_gives_the_same_answers() -> None:
    one, two = (subgroups(served(0, 200, (0.9, 0.7)), 99) for _ in range(2))
    assert one == two
