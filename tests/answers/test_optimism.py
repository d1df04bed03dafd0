"""The luck of choosing is estimated, and where there is none, none is found."""

from __future__ import annotations

import numpy as np
import pytest

from mmauto.answers.optimism import optimism_of
from mmauto.values import TargetSpec

SPEC = TargetSpec("y", "binary", ("no", "yes"))
ROWS = 200


def study(skills: list[float], seed: int, rows: int = ROWS) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and the predictions of a trial that is right with each of the chances."""
    source = np.random.default_rng(seed)
    truth = source.integers(0, 2, rows).astype(float)
    given = []
    for skill in skills:
        right = source.random(rows) < skill
        given.append(np.where(right, truth, 1 - truth)[:, None] * 0.8 + 0.1)
    return truth, given


def test_the_best_of_many_guessing_trials_is_worth_a_guess() -> None:
    best, corrected = [], []
    for seed in range(20):
        truth, given = study([0.5] * 60, seed)
        found = optimism_of("accuracy", SPEC, truth, None, [("arm", one) for one in given])
        best.append(found["arm"].best)
        corrected.append(found["arm"].corrected)
        assert found["arm"].chosen_from == 60
    assert np.mean(best) > 0.57
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.01)


def test_a_trial_that_is_much_better_than_the_others_is_worth_its_score() -> None:
    corrected = []
    for seed in range(20):
        truth, given = study([0.5] * 20 + [0.8], seed)
        found = optimism_of("accuracy", SPEC, truth, None, [("arm", one) for one in given])["arm"]
        assert found.best - found.corrected == pytest.approx(0, abs=0.01)
        corrected.append(found.corrected)
    assert np.mean(corrected) == pytest.approx(0.8, abs=0.02)


def test_the_correction_is_that_of_the_paper_by_brute_force() -> None:
    truth, given = study([0.5, 0.6, 0.55], 3, rows=40)
    found = optimism_of("accuracy", SPEC, truth, None, [("arm", one) for one in given])["arm"]
    hits = np.array([(one[:, 0] > 0.5) == (truth > 0.5) for one in given])
    source, values = np.random.default_rng(9), []
    for _ in range(4000):
        drawn = source.integers(0, 40, 40)
        rest = np.setdiff1d(np.arange(40), drawn)
        values.append(hits[hits[:, drawn].mean(axis=1).argmax()][rest].mean())
    assert found.corrected == pytest.approx(np.mean(values), abs=0.02)


def test_arms_are_told_apart_and_chosen_among() -> None:
    truth, given = study([0.9, 0.5, 0.5], 0)
    trials = [("good", given[0]), ("bad", given[1]), ("bad", given[2])]
    found = optimism_of("accuracy", SPEC, truth, None, trials)
    assert set(found) == {"good", "bad", ""}
    assert found[""].chosen_from == 3
    assert found[""].best == found["good"].best
    assert found["bad"].chosen_from == 2


def test_less_is_better_for_an_error() -> None:
    source = np.random.default_rng(0)
    truth = source.normal(size=ROWS)
    trials = [("arm", source.normal(size=(ROWS, 1))) for _ in range(40)]
    found = optimism_of("rmse", TargetSpec("n", "regression"), truth, None, trials)["arm"]
    assert found.best < found.corrected
    assert found.corrected == pytest.approx(np.sqrt(2), abs=0.08)


def test_whole_groups_are_drawn() -> None:
    truth, given = study([0.5] * 30, 4, rows=20)
    many = np.repeat(np.arange(20), 10)
    copies = [("arm", one[many]) for one in given]
    grouped = optimism_of("accuracy", SPEC, truth[many], many.astype(str), copies)["arm"]
    naive = optimism_of("accuracy", SPEC, truth[many], None, copies)["arm"]
    # rows left out are copies of rows drawn, unless whole groups are
    assert naive.best - naive.corrected < 0.07
    assert grouped.best - grouped.corrected > 0.1


def test_nothing_to_choose_from_is_no_figure() -> None:
    truth, given = study([0.5], 0)
    assert optimism_of("accuracy", SPEC, truth, None, []) == {}
    nothing = [("arm", given[0])]
    assert optimism_of("accuracy", SPEC, np.full(ROWS, np.nan), None, nothing) == {}
