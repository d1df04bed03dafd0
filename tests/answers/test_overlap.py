"""Folds that train on each other's rows: how much further chance goes, and what is claimed then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.compare import compare
from mmauto.answers.overlap import stretch
from mmauto.answers.permutation import less_sure
from mmauto.answers.pooled import pooled
from mmauto.answers.verdict import helps
from mmauto.engine.metrics import score
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Comparison, ConfirmationView, Costs, Interval, Standing, StudyView

BASE = fake_study()
SPEC = TargetSpec("y", "binary", ("no", "yes"))
ARMS = {"a only": "single", "b only": "single", "early": "fusion", "late": "fusion"}


def counted(tested: Sequence[int], folds: int) -> list[StudyView]:
    return [replace(BASE, config={"fold": fold, "folds": folds}) for fold in tested]


@pytest.mark.parametrize(
    ("tested", "folds", "share"),
    [
        ((1, 2, 3), 3, 0.0),  # each trains on one fold, which is tested by what another one taught
        ((1, 2, 3, 4, 5), 5, 2 / 3),
        (range(1, 11), 10, 7 / 8),
        ((1, 2), 5, 0.0),  # 2 validates 1
        ((1, 3), 5, 2 / 6),  # each trains on three folds, of which one is the other of the two
    ],
)
def test_how_many_pairs_of_rows_count_both_ways(
    tested: Sequence[int], folds: int, share: float
) -> None:
    assert stretch(counted(tested, folds)) == pytest.approx(math.sqrt(1 + share))


def test_the_deviation_is_that_of_sums_over_pairs() -> None:
    rng = np.random.default_rng(0)
    fold = np.arange(100) % 5
    likeness = rng.normal(size=(100, 100))
    likeness += likeness.T
    likeness[np.isin((fold[None] - fold[:, None]) % 5, (0, 1))] = 0  # tests row, validates row
    signs = rng.choice([-1.0, 1.0], (4000, 100))
    each = signs * (signs @ likeness.T)  # how far each row is predicted right
    naive = (each**2).sum(axis=1).mean()
    found = math.sqrt(each.sum(axis=1).var() / naive)
    assert found == pytest.approx(stretch(counted((1, 2, 3, 4, 5), 5)), rel=0.04)


def compared(by: float) -> Comparison:
    truth = {"test": BASE.truth["test"]}
    return compare(
        BASE.task,
        BASE.arms,
        BASE.trials,
        BASE.confirmations,
        truth,
        BASE.groups,
        ceiling=BASE.ceiling,
        stretch=by,
    )


def test_intervals_are_wider_and_differences_less_sure() -> None:
    narrow, wide = compared(1.0), compared(math.sqrt(5 / 3))
    for line, before in zip(wide.standings, narrow.standings, strict=True):
        assert line.test.value == before.test.value
        if before.test.low < before.test.high < 1:
            assert line.test.low < before.test.low
            assert before.test.high < line.test.high <= 1
        assert (line.difference is None) == (before.difference is None)
        if line.difference is not None and before.difference is not None:
            grown = line.difference.high - line.difference.low
            spread = before.difference.high - before.difference.low
            assert line.difference.value == before.difference.value
            assert grown == pytest.approx(spread * math.sqrt(5 / 3))
            assert line.p == pytest.approx(less_sure(before.p, math.sqrt(5 / 3)))
            assert line.p > before.p or before.p == 1
        assert math.isnan(line.p_holm) == (line.arm.kind != "fusion")
        assert not line.p_holm < line.p
    assert [helps(line) for line in compared(50.0).standings if line.difference] == [None] * (
        len(wide.standings) - 1
    )
    assert "cannot decide whether fusion helps" in " ".join(compared(50.0).verdict)


@pytest.mark.parametrize(("p", "wanted"), [(0.02, 0.0716), (0.03, 0.0928), (1.0, 1.0)])
def test_a_p_value_is_that_of_a_smaller_deviate(p: float, wanted: float) -> None:
    assert less_sure(p, math.sqrt(5 / 3)) == pytest.approx(wanted, abs=1e-3)
    assert less_sure(p, 1.0) == p


def test_five_folds_say_what_they_allow_for() -> None:
    said = " ".join(pooled(study(0, 100, 0.0)).comparison.verdict)
    assert "of the leaderboard allow for deviations that are 29% larger" in said


# ------------------------------------------------------------------------ simulated studies


def study(seed: int, rows: int, skill: float) -> list[StudyView]:
    """Five folds of ridge regression on two modalities, strength and arms chosen in each.

    What one modality says of the label is disturbed by something that the other one shows.
    """
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(rows) % 2).astype(float)
    sides = [rng.normal(size=(rows, 6)) for _ in range(2)]
    sides[0][:, 0] += skill * (2 * truth - 1) + 2 * sides[1][:, 0]
    fold = np.empty(rows, dtype=int)
    for label in (0, 1):
        own = rng.permutation(np.flatnonzero(truth == label))
        fold[own] = np.arange(len(own)) % 5
    return [_fold(rng, truth, sides, (fold - test) % 5, test) for test in range(5)]


def _fold(
    rng: np.random.Generator,
    truth: np.ndarray,
    sides: Sequence[np.ndarray],
    place: np.ndarray,
    test: int,
) -> StudyView:
    rows = {"valid": np.flatnonzero(place == 1), "test": np.flatnonzero(place == 0)}
    train = np.flatnonzero(place > 1)
    arms = [ArmView(n, k, n, "stage", n) for n, k in ARMS.items()]  # type: ignore[arg-type]
    task = TaskView("t", {"a": "text", "b": "tabular"}, {"y": SPEC}, "y", "auroc")
    some = [rng.permutation(train)[: int(0.85 * len(train))] for _ in range(2)]  # two seeds
    runs, values = [], {}
    for arm in arms:
        inputs = {
            "a only": [sides[0]], "b only": [sides[1]], "late": sides,
            "early": [np.hstack(sides)],
        }[arm.name]  # fmt: skip

        def given(
            ridge: float, known: np.ndarray, inputs: Sequence[np.ndarray] = inputs
        ) -> np.ndarray:
            each = [_ridge(x, truth, known, ridge) for x in inputs]
            return np.asarray(np.mean(each, axis=0))

        def valid(found: np.ndarray) -> float:
            return score("auroc", SPEC, truth[rows["valid"]], found[rows["valid"]])

        ridge = max((1.0, 10.0, 100.0), key=lambda r: valid(given(r, train)))
        found = [given(ridge, known) for known in some]
        values[arm.name] = float(np.mean([valid(one) for one in found]))
        runs += [
            ConfirmationView(arm.name, seed, 0, {}, valid(one), (),
                             {"y": one[rows["valid"]]}, {"y": one[rows["test"]]})
            for seed, one in enumerate(found)
        ]  # fmt: skip
    nothing = Interval(0.5, 0.5, 0.5)
    lines = tuple(
        Standing(arm, rank, values[arm.name], nothing, None, {}, Costs(), 2, 1, 0)
        for rank, arm in enumerate(sorted(arms, key=lambda arm: -values[arm.name]), 1)
    )
    return replace(
        BASE, task=task, config={"folds": 5}, arms=arms, trials=(), confirmations=runs,
        truth={side: {"y": truth[own]} for side, own in rows.items()},
        groups=dict.fromkeys(rows), ids={side: own.astype(str) for side, own in rows.items()},
        ceiling={}, subgroups={}, comparison=replace(BASE.comparison, standings=lines),
    )  # fmt: skip


def _ridge(x: np.ndarray, truth: np.ndarray, known: np.ndarray, ridge: float) -> np.ndarray:
    """(N, 1) scores, of a model of the known rows."""
    own = x[known]
    slope = np.linalg.solve(own.T @ own + ridge * np.eye(x.shape[1]), own.T @ (truth[known] - 0.5))
    return np.asarray(1 / (1 + np.exp(-(x @ slope))))[:, None]


def claims(studies: int, rows: int, skill: float) -> list[bool | None]:
    found = [pooled(study(seed, rows, skill)).comparison.standings for seed in range(studies)]
    return [helps(next(one for one in lines if one.arm.kind == "fusion")) for lines in found]


@pytest.mark.slow
def test_where_labels_mean_nothing_hardly_anything_is_claimed() -> None:
    found = claims(100, 150, 0.0)
    assert np.mean([one is True for one in found]) <= 0.05
    assert np.mean([one is not None for one in found]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.slow
def test_a_gain_of_twelve_points_is_found() -> None:
    assert np.mean([one is True for one in claims(20, 300, 0.62)]) > 0.6
