"""Asking: defaults first, shared start-up points, and a pure function of what is stored."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mmauto.config import StudyConfig, from_mapping
from mmauto.space import Choice, Float, Int, defaults
from mmauto.tuning.arms import Arm
from mmauto.tuning.optuna_words import capped, distributions, freeze, whole
from mmauto.tuning.sampler import START_UP, ask, leader, placed, start_up
from mmauto.views import ArmView, TrialView

SPACE = {
    "image/encoder": Choice(("cnn", "vit")),
    "fusion/width": Int(8, 256, 64, log=True),
    "train/lr": Float(1e-4, 1e-1, 1e-3, log=True),
}
PACKING = frozenset({"train/lr"})


def make_arm(name: str = "one", packing: frozenset[str] = frozenset(), **more: object) -> Arm:
    view = ArmView(name, "fusion", name, "early", "")
    return Arm(view, ("image",), {**SPACE, **more}, packing=packing)


def config(**changes: object) -> StudyConfig:
    return from_mapping({"task": "t", "generation": 5, "pack": 1, **changes})


def shape(params: dict) -> tuple:
    return tuple(value for name, value in params.items() if name != "train/lr")


def quality(params: dict) -> float:
    """A smooth surface whose best point is lr = 1e-2 with the vit."""
    import math

    return -abs(math.log10(params["train/lr"]) + 2) + (params["image/encoder"] == "vit")


def play(sampler: str, rounds: int, arm: Arm, **settings: object) -> list[TrialView]:
    stored: list[TrialView] = []
    asking = config(sampler=sampler, **settings)
    for generation in range(rounds):
        numbers = range(len(stored), len(stored) + asking.generation)
        for number, params in zip(numbers, ask(arm, asking, True, stored, numbers), strict=True):
            value = quality(params)
            stored.append(
                TrialView(number, arm.name, generation, number, "complete", params, value)
            )
    return stored


def test_the_default_configuration_is_the_first_trial() -> None:
    assert ask(make_arm(), config(), True, [], range(5))[0] == defaults(SPACE)


def test_start_up_points_agree_between_arms_on_shared_parameters() -> None:
    wider = make_arm("two", **{"fusion/extra": Float(0.0, 1.0, 0.5)})
    one = ask(make_arm("one"), config(seed=3), True, [], range(5))
    two = ask(wider, config(seed=3), True, [], range(5))
    for left, right in zip(one, two, strict=True):
        assert left == {name: right[name] for name in SPACE}
    assert len({tuple(params.values()) for params in one}) == 5


def test_another_seed_gives_other_start_up_points() -> None:
    assert start_up(make_arm(), 0, 1) != start_up(make_arm(), 1, 1)


@pytest.mark.parametrize("pack", [1, 4])
@pytest.mark.parametrize(
    "sampler", ["tpe", "random", "qmc", pytest.param("gp", marks=pytest.mark.slow)]
)
def test_every_sampler_gives_admissible_reproducible_points(sampler: str, pack: int) -> None:
    arm = make_arm(packing=PACKING)
    one, two = (play(sampler, 3, arm, generation=8, pack=pack) for _ in range(2))
    assert [trial.params for trial in one] == [trial.params for trial in two]
    assert all(SPACE[name].admits(value) for trial in one for name, value in trial.params.items())
    assert len({tuple(trial.params.values()) for trial in one}) == 24


@pytest.mark.parametrize("state", ["failed", "pruned"])
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_every_sampler_asks_where_no_trial_was_trained_to_its_end(sampler: str, state: str) -> None:
    value = 0.5 if state == "pruned" else None
    first = play("random", 1, make_arm())
    stored = [replace(trial, state=state, value=value) for trial in first]
    found = ask(make_arm(), config(sampler=sampler), True, stored, range(5, 10))
    assert len({tuple(params.values()) for params in found}) == 5


def test_asking_again_from_the_same_store_asks_the_same() -> None:
    """What makes a resumed search equal to an undisturbed one."""
    stored = play("tpe", 2, make_arm())
    one, two = (ask(make_arm(), config(), True, stored, range(10, 15)) for _ in range(2))
    assert one == two


def test_tpe_finds_the_good_region() -> None:
    best = [
        max(trial.value for trial in play("tpe", 8, make_arm(), seed=seed)[START_UP + 1 :])
        for seed in range(3)
    ]
    assert min(best) > 0.8


# ------------------------------------------------------------------------------- packs


def test_a_pack_shares_its_shapes_and_differs_in_its_packing_numbers() -> None:
    arm = make_arm(packing=PACKING)
    trials = play("tpe", 3, arm, generation=8, pack=4)
    for first in range(0, 24, 4):
        pack = [trial.params for trial in trials[first : first + 4]]
        assert len({shape(params) for params in pack}) == 1
        assert len({arm.pack(params) for params in pack}) == 1
        assert len({params["train/lr"] for params in pack}) == 4
    assert trials[0].params == defaults(SPACE)
    assert len({shape(trial.params) for trial in trials}) > 3


def test_packs_begin_anew_with_every_generation() -> None:
    arm, asking = make_arm(packing=PACKING), config(generation=6, pack=4)
    assert [leader(arm, asking, n) for n in range(12)] == [0, 0, 0, 0, 4, 4, 6, 6, 6, 6, 10, 10]


def test_a_generation_that_is_half_stored_keeps_its_leader() -> None:
    arm, asking = make_arm(packing=PACKING), config(generation=8, pack=4)
    stored = play("tpe", 2, arm, generation=8, pack=4)
    odd = {**defaults(SPACE), "fusion/width": 77}
    stored.append(TrialView(16, "one", 2, 16, "running", odd))
    one, two = (ask(arm, asking, True, stored, range(17, 24)) for _ in range(2))
    assert one == two
    assert [params["fusion/width"] for params in one[:3]] == [77, 77, 77]


def test_an_arm_without_packing_numbers_has_packs_of_one() -> None:
    asking = config(generation=8, pack=4)
    assert leader(make_arm(), asking, 7) == 7
    fixed = make_arm(packing=PACKING, **{"train/lr": Choice((0.1, 0.01))})
    assert [leader(fixed, asking, n) for n in range(4)] == [0, 0, 2, 2]  # two values: packs of two
    control = Arm(ArmView("c", "control", "c", "control", ""), ("image",), SPACE, packing=PACKING)
    assert leader(control, asking, 3) == 3
    assert control.pack(defaults(SPACE)) == ""


# ------------------------------------------------------------------------------- warm start


def test_offered_candidates_follow_the_default_one_and_are_restricted_to_todays_space() -> None:
    offered = [
        {"image/encoder": "gone", "fusion/width": 100, "train/lr": 0.02, "old": 1},
        {"image/encoder": "vit", "fusion/width": 9999, "train/lr": 0.03},
        defaults(SPACE),
    ]
    asked = ask(make_arm(), config(), True, [], range(5), offered)
    assert asked[0] == defaults(SPACE)
    assert asked[1] == {"image/encoder": "cnn", "fusion/width": 100, "train/lr": 0.02}
    assert asked[2] == {"image/encoder": "vit", "fusion/width": 64, "train/lr": 0.03}
    assert asked[3] == start_up(make_arm(), 0, 3)  # the default one is not tried twice


def test_what_is_offered_is_not_drawn_again() -> None:
    """An earlier study of the same seed drew the same candidates."""
    drawn = start_up(make_arm(), 0, 3)
    asked = ask(make_arm(), config(), True, [], range(5), [drawn])
    assert asked.count(drawn) == 1


def test_an_offered_candidate_joins_the_pack_of_its_shapes_or_leads_one() -> None:
    arm, asking = make_arm(packing=PACKING), config(generation=8, pack=4)
    same, other = {**defaults(SPACE), "train/lr": 0.05}, {**defaults(SPACE), "fusion/width": 32}
    plan = placed(arm, asking, [other, same, {**other, "train/lr": 0.07}])
    assert {number: params["train/lr"] for number, params in plan.items()} == {
        0: 0.001, 1: 0.05, 4: 0.001, 5: 0.07
    }  # fmt: skip
    asked = ask(arm, asking, True, [], range(8), [other, same])
    assert [params["fusion/width"] for params in asked] == [64] * 4 + [32] * 4


# ------------------------------------------------------------------------------- what is told


def test_of_many_trials_the_best_the_newest_and_some_others_are_told() -> None:
    source = random.Random(0)
    stored = [
        TrialView(n, "one", n // 8, n, "complete", defaults(SPACE), source.random())
        for n in range(500)
    ]
    kept = capped(stored, 60, True, seed=1)
    assert len(kept) == 60
    assert kept == capped(stored, 60, True, seed=1)
    assert {trial.id for trial in stored[-20:]} <= {trial.id for trial in kept}
    for maximise in (True, False):
        best = sorted(stored, key=lambda t: t.value or 0.0, reverse=maximise)[:20]
        ids = {trial.id for trial in capped(stored, 60, maximise, seed=1)}
        assert {trial.id for trial in best} <= ids
    assert capped(stored[:60], 60, True, seed=1) == stored[:60]


@pytest.mark.parametrize("wanted", [Int(8, 256, 64, log=True), Int(1, 10, 4, step=4)])
def test_whole_numbers_come_back_from_a_smooth_scale(wanted: Int) -> None:
    spread = distributions({"x": wanted}, smooth=True)["x"]
    for share in range(101):
        value = spread.low + (spread.high - spread.low) * share / 100
        assert wanted.admits(whole(wanted, value))


def test_a_wider_space_takes_stored_trials_along_at_their_defaults() -> None:
    stored = play("tpe", 2, make_arm())
    wider = make_arm(
        **{"image/encoder": Choice(("cnn", "vit", "new")), "fusion/extra": Int(1, 4, 2)}
    )
    frozen = freeze(wider, stored[0], distributions(wider.space))
    assert frozen.params["fusion/extra"] == 2
    asked = ask(wider, config(), True, stored, range(10, 15))
    assert all(set(params) == set(wider.space) for params in asked)


def test_a_value_that_the_space_no_longer_admits_is_left_out() -> None:
    stored = TrialView(0, "one", 0, 0, "complete", {**defaults(SPACE), "fusion/width": 999}, 0.5)
    frozen = freeze(make_arm(), stored, distributions(SPACE))
    assert "fusion/width" not in frozen.params
