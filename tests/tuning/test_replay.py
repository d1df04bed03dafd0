"""What pruning saves and costs, replayed on whole curves."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from mmauto.tuning.replay import curves_of, replay
from mmauto.views import TrialView


def curve(source: random.Random, top: float, patience: int = 5) -> list[float]:
    """A validation curve: a rise at its own pace to its own height, noise, early stopping."""
    pace, found, best, at = math.exp(source.gauss(0.4, 0.5)), [], -math.inf, 0
    for epoch in range(1, 21):
        found.append(0.33 + (top - 0.33) * (1 - math.exp(-epoch / pace)) + source.gauss(0, 0.003))
        if found[-1] > best:
            best, at = found[-1], epoch
        if epoch - at >= patience:
            break
    return found


def generations(seed: int, count: int = 4) -> list[list[list[float]]]:
    source = random.Random(seed)
    tops = [[0.85 - abs(source.gauss(0, 0.12)) for _ in range(8)] for _ in range(count)]
    return [[curve(source, top) for top in row] for row in tops]


def test_epochs_and_best_of_a_known_case() -> None:
    found = replay([[[0.1] * 10, [0.2] * 10, [0.3] * 10]], True, steps=100, epochs=10)
    assert found.trained == [[2, 2, 10]]
    assert (found.epochs, found.full, found.best, found.regret) == (14, 30, 0.3, 0.0)
    assert found.saved == pytest.approx(30 / 14)


def test_regret_is_what_a_late_riser_would_have_given() -> None:
    late = [0.1] * 9 + [0.9]
    found = replay([[late, [0.5] * 10]], True, steps=100, epochs=10)
    assert (found.best, found.full_best, found.regret) == (0.5, 0.9, 0.4)


def test_maximising_and_minimising_mirror_each_other() -> None:
    curves = generations(3)
    other = [[[-value for value in c] for c in row] for row in curves]
    up, down = replay(curves, True, 100, 20), replay(other, False, 100, 20)
    assert up.trained == down.trained
    assert up.regret == pytest.approx(down.regret)
    assert up.best == -down.best


def test_every_generation_may_be_pruned_but_the_first_trains_one_to_its_end() -> None:
    for seed in range(10):
        curves = generations(seed)
        found = replay(curves, True, 100, 20)
        pairs = list(zip(found.trained[0], curves[0], strict=True))
        assert all(length <= len(whole) for length, whole in pairs)
        assert any(length == len(whole) for length, whole in pairs)


def test_a_quantile_across_generations_saves_more() -> None:
    curves = generations(0, count=6)
    strict, alone = replay(curves, True, 100, 20), [replay([c], True, 100, 20) for c in curves]
    assert strict.epochs < sum(one.epochs for one in alone)


def test_pruning_saves_four_times_the_epochs_and_costs_a_fraction_of_a_point() -> None:
    found = [replay(generations(seed), True, 100, 20) for seed in range(10)]
    assert statistics.mean(one.saved for one in found) >= 4
    assert statistics.mean(one.regret for one in found) <= 0.003


def test_stored_trials_are_replayed_by_generation() -> None:
    rows = [(0, "complete", (0.1, 0.2)), (0, "failed", (0.1,)), (1, "complete", (0.3,))]
    trials = [
        TrialView(place, "a", generation, place, state, {}, None, None, curve)  # type: ignore[arg-type]
        for place, (generation, state, curve) in enumerate(rows)
    ]
    assert curves_of(trials) == [[(0.1, 0.2)], [(0.3,)]]
