"""Pruners: successive halving against brute force, and Optuna's really fed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from mmauto.space import Float
from mmauto.tuning.arms import Arm
from mmauto.tuning.pruning import ETA, Halving, OptunaPruner, Pruner
from mmauto.views import ArmView, TrialView


def drive(pruner: Pruner, curves: dict[int, list[float]], skip: int = 0) -> dict[int, int]:
    """Epochs that each trial trained; a trial ends with its curve or when pruned."""
    alive, trained = set(curves), dict.fromkeys(curves, skip)
    for epoch in range(skip, max(len(curve) for curve in curves.values())):
        values = {t: curves[t][epoch] for t in sorted(alive) if epoch < len(curves[t])}
        if not values:
            break
        for trial in values:
            trained[trial] += 1
        keep = pruner.keep(epoch, values)
        assert set(keep) == set(values)
        alive = {trial for trial in values if keep[trial]}
    return trained


def halving(curves: dict, maximise: bool = True, steps: int = 100, epochs: int = 20) -> Halving:
    return Halving(maximise, steps, epochs, list(curves), {})


def test_nothing_is_pruned_without_a_pruner() -> None:
    assert drive(Pruner(), {1: [0.1] * 6, 2: [0.9] * 6}) == {1: 6, 2: 6}


@pytest.mark.parametrize("maximise", [True, False])
def test_halving_keeps_the_best_third_at_each_rung(maximise: bool) -> None:
    source = random.Random(0)
    curves = {t: [source.random() for _ in range(20)] for t in range(9)}
    trained = drive(halving(curves, maximise), curves)
    sign = 1 if maximise else -1
    alive, expected = set(curves), {}
    for rung in (2, 6, 18):  # 100 steps an epoch: the first rung is at two epochs
        best = {t: max(sign * v for v in curves[t][:rung]) for t in alive}
        keep = sorted(alive, key=lambda t: (-best[t], t))[: max(1, math.ceil(len(alive) / ETA))]
        expected |= dict.fromkeys(alive - set(keep), rung)
        alive = set(keep)
    assert trained == expected | dict.fromkeys(alive, 20)
    assert sorted(trained.values())[-1] == 20


def test_the_first_rung_waits_for_enough_steps() -> None:
    curves = {t: [t / 10] * 20 for t in range(5)}
    assert min(drive(halving(curves, steps=5), curves).values()) == 12
    assert min(drive(halving(curves, steps=1000), curves).values()) == 2


def test_a_single_trial_is_never_pruned() -> None:
    curves = {7: [0.1] * 20}
    assert drive(halving(curves), curves) == {7: 20}


def test_a_trial_that_stopped_by_itself_keeps_its_place() -> None:
    curves = {0: [0.9] * 3, 1: [0.5] * 20, 2: [0.4] * 20}
    assert drive(halving(curves), {0: curves[0], 1: curves[1], 2: curves[2]}) == {0: 3, 1: 2, 2: 2}


def test_a_trial_that_failed_leaves_its_place_to_others() -> None:
    """Or the best one's failure would take everyone else's chance."""
    curves = {t: [t / 10] * 20 for t in range(9)}
    curves[8] = curves[8][:4]

    class Failing(Halving):
        def keep(self, epoch: int, values: Mapping[int, float], failed: Any = ()) -> Any:
            return super().keep(epoch, values, [8] if epoch >= 4 else [])

    trained = drive(Failing(True, 100, 20, range(9), {}), curves)
    assert trained == dict.fromkeys(range(6), 2) | {6: 6, 7: 20, 8: 4}


def test_an_interrupted_generation_decides_as_an_undisturbed_one() -> None:
    source = random.Random(1)
    curves = {t: [source.random() for _ in range(20)] for t in range(6)}
    whole = drive(halving(curves), curves)
    ended = {t: curves[t][: whole[t]] for t in curves if whole[t] == 2}
    rest = {t: curve for t, curve in curves.items() if t not in ended}
    again = drive(Halving(True, 100, 20, list(curves), ended), rest)
    assert again == {t: whole[t] for t in rest}


def across(earlier: list[tuple[bool, list[float]]], maximise: bool = True) -> dict[int, int]:
    """Two trials of a later generation: of a generation of two, one passes the first rung."""
    sign = 1 if maximise else -1
    curves = {0: [sign * 0.6] * 20, 1: [sign * 0.5] * 20}
    signed = [(complete, [sign * v for v in curve]) for complete, curve in earlier]
    return drive(Halving(maximise, 100, 20, [0, 1], {}, signed), curves)


@pytest.mark.parametrize("maximise", [True, False])
def test_a_survivor_worse_than_most_earlier_survivors_is_pruned_too(maximise: bool) -> None:
    better, worse = (True, [0.7] * 20), (True, [0.55] * 20)
    assert across([*[better] * 3, *[worse] * 2], maximise) == {0: 2, 1: 2}
    assert across([*[better] * 2, *[worse] * 3], maximise) == {0: 20, 1: 2}


def test_earlier_trials_count_at_the_rungs_that_they_passed() -> None:
    ended = (True, [0.55] * 20)
    pruned_at_2, pruned_at_6 = (False, [0.9] * 2), (False, [0.9] * 6)
    assert across([ended, *[pruned_at_2] * 4]) == {0: 20, 1: 2}
    assert across([ended, *[pruned_at_6] * 4]) == {0: 2, 1: 2}


def test_until_one_trial_is_complete_the_best_of_a_generation_goes_on() -> None:
    assert across([(False, [0.9] * 6)] * 3) == {0: 20, 1: 2}


def test_an_equal_trial_passes() -> None:
    assert across([(True, [0.6] * 20)] * 3) == {0: 20, 1: 2}


@pytest.mark.parametrize("name", ["median", "hyperband"])
def test_optunas_pruners_are_fed_and_prune(name: str) -> None:
    arm = Arm(ArmView("a", "fusion", "a", "early", ""), (), {"train/lr": Float(0.0, 1.0, 0.5)})
    stored = [
        TrialView(t, "a", 0, t, "complete", {"train/lr": t / 20}, 0.9, 9, (0.9,) * 10)
        for t in range(12)
    ]
    asked = {100 + t: {"train/lr": 0.5 + t / 100} for t in range(6)}
    curves = {trial: [0.5 - trial / 1000] * 10 for trial in asked}
    trained = drive(OptunaPruner(name, arm, True, 10, stored, asked, {}), curves)
    assert min(trained.values()) < 10
    assert max(trained.values()) == 10  # the last one is kept
