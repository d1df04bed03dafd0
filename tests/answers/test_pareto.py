"""Fronts by brute force, and the cheapest arm that is as good as the winner."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.compare import compare
from mmauto.answers.pareto import PRICES, bargains, front, priced
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import ConfirmationView, Costs, Failure, StudyView

ARMS = ("concat_mlp", "cross_attention", "logit_mean", "image alone")
ROWS = 120


def dominated(points, place: int, sign: float) -> bool:
    cost, quality = points[place]
    return any(
        c <= cost and sign * q >= sign * quality and (c < cost or sign * q > sign * quality)
        for c, q in points
    )


def study_of(
    wrong: dict[str, int], costs: dict[str, Costs], minimise: bool = False, seeds: int = 3
) -> StudyView:
    """A study whose arms err on so many of the test rows (or, minimised, by so much)."""
    study = fake_study()
    name, metric = ("stay_days", "rmse") if minimise else ("urgent", "accuracy")
    rows = np.arange(ROWS)
    right = np.where(rows % 2 == 0, 1.0, 0.0)
    runs = []
    for arm in ARMS:
        for seed in range(seeds):
            sign = np.where((rows * 7) % ROWS < wrong[arm], 1.0, 0.0)
            noise = np.random.default_rng((ARMS.index(arm), seed)).normal(size=ROWS)
            given = right + wrong[arm] / 10 * noise if minimise else np.abs(right - sign)
            value = wrong[arm] / 10 if minimise else 1 - wrong[arm] / ROWS
            answers = {name: given[:, None]}
            runs.append(ConfirmationView(arm, seed, 0, {}, value, (), {}, answers, costs[arm]))
    task = replace(study.task, primary=name, metric=metric,
                   targets={name: study.task.targets[name]})  # fmt: skip
    arms = [arm for arm in study.arms if arm.name in ARMS]
    truth, groups = {"valid": {name: right}, "test": {name: right}}, {"valid": None, "test": None}
    return replace(
        study, task=task, arms=arms, confirmations=tuple(runs), truth=truth, groups=groups,
        comparison=compare(task, arms, (), runs, truth, groups, ceiling={}),
    )  # fmt: skip


def train(**seconds: float) -> dict[str, Costs]:
    return {arm: Costs(train_seconds=seconds.get(arm.split()[0], 0.0)) for arm in ARMS}


@pytest.mark.parametrize("maximise", [True, False], ids=["maximised", "minimised"])
@pytest.mark.parametrize("seed", range(20))
def test_a_front_is_that_of_brute_force(seed: int, maximise: bool) -> None:
    rng = np.random.default_rng(seed)
    # few values, so that ties of cost, of quality and of both occur
    points = [tuple(map(float, pair)) for pair in rng.integers(0, 7, (25, 2))]
    sign = 1.0 if maximise else -1.0
    found = front(points, maximise)
    wanted = {p for p in range(len(points)) if not dominated(points, p, sign)}
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert [points[p][0] for p in found] == sorted(points[p][0] for p in found)


def test_a_front_points_the_right_way() -> None:
    points = [(1.0, 0.5), (2.0, 0.9), (3.0, 0.7)]
    assert front(points, maximise=True) == [0, 1]
    assert front(points, maximise=False) == [0]


def test_what_has_no_score_is_on_no_front() -> None:
    assert front([(1.0, math.nan), (2.0, 0.1)], maximise=True) == [1]
    assert front([], maximise=True) == []


def test_costs_that_were_not_measured_are_left_out_and_the_rest_is_sorted() -> None:
    costs = {**train(concat_mlp=3, cross_attention=9, image=1), "logit_mean": Costs(parameters=5)}
    found = priced(study_of(dict(zip(ARMS, (4, 2, 30, 20), strict=True)), costs))
    assert [p.line.arm.name for p in found["train_seconds"]][:3] == [
        "image alone", "concat_mlp", "cross_attention",
    ]  # fmt: skip
    assert [p.cost for p in found["train_seconds"]][:3] == [1, 3, 9]
    assert [p.front for p in found["train_seconds"]][:3] == [True, True, True]
    assert [p.line.arm.name for p in found["parameters"] if p.front] == ["logit_mean"]
    assert found["latency_1"] == []
    assert list(found) == list(PRICES)


def test_all_parameters_count_the_frozen_ones() -> None:
    study = fake_study()
    line = study.comparison.standings[0]
    (own,) = [p for p in priced(study)["all_parameters"] if p.line is line]
    assert own.cost == line.costs.parameters + line.costs.frozen_parameters


@pytest.mark.parametrize("minimise", [False, True], ids=["accuracy", "rmse"])
def test_the_bargain_is_the_cheapest_arm_that_is_as_good(minimise: bool) -> None:
    wrong = dict(zip(ARMS, (21, 20, 60, 90), strict=True))  # the cheapest two are far worse
    costs = train(concat_mlp=3, cross_attention=12, logit_mean=2, image=1)
    study = study_of(wrong, costs, minimise)
    assert study.comparison.winner == "cross_attention"
    found = bargains(study)["train_seconds"]
    assert (found.arm, found.times) == ("concat_mlp", 4.0)
    assert found.gain is not None
    assert found.gain.low < found.gain.value < 0 <= found.gain.high


@pytest.mark.parametrize("minimise", [False, True], ids=["accuracy", "rmse"])
def test_without_an_arm_that_is_as_good_the_winner_is_its_own_bargain(minimise: bool) -> None:
    wrong = dict(zip(ARMS, (40, 1, 50, 60), strict=True))
    costs = train(concat_mlp=3, cross_attention=12, logit_mean=6, image=1)
    study = study_of(wrong, costs, minimise)
    assert study.comparison.winner == "cross_attention"
    found = bargains(study)["train_seconds"]
    assert (found.arm, found.times, found.gain) == ("cross_attention", 1.0, None)


def test_a_cost_that_is_the_same_but_for_noise_is_no_bargain() -> None:
    wrong = dict(zip(ARMS, (4, 2, 60, 60), strict=True))
    study = study_of(wrong, train(concat_mlp=11.5, cross_attention=12))
    assert bargains(study)["train_seconds"].arm == "cross_attention"
    study = study_of(wrong, train(concat_mlp=10.5, cross_attention=12))
    assert bargains(study)["train_seconds"].arm == "concat_mlp"


def test_an_arm_without_a_seed_of_the_winner_is_no_bargain() -> None:
    wrong = dict(zip(ARMS, (4, 2, 60, 60), strict=True))
    study = study_of(wrong, train(concat_mlp=3, cross_attention=12))
    runs = [replace(r, seed=r.seed + 10) if r.arm == "concat_mlp" else r
            for r in study.confirmations]  # fmt: skip
    assert bargains(replace(study, confirmations=runs))["train_seconds"].arm == "cross_attention"


def test_failed_runs_are_left_out() -> None:
    wrong = dict(zip(ARMS, (4, 2, 60, 60), strict=True))
    study = study_of(wrong, train(concat_mlp=3, cross_attention=12))
    gone = ConfirmationView("concat_mlp", 9, 0, {}, failure=Failure("oom", "x"))
    assert bargains(replace(study, confirmations=(*study.confirmations, gone))) == bargains(study)


def test_a_study_without_a_winner_has_no_bargain() -> None:
    assert bargains(empty_study()) == {}
    assert all(points == [] for points in priced(empty_study()).values())
