"""Asking: defaults first, shared start-up points, and a pure function of what is stored."""

from __future__ import annotations

import pytest

from mmauto.space import Choice, Float, Int, defaults
from mmauto.tuning.arms import Arm
from mmauto.tuning.sampler import START_UP, ask, freeze, start_up
from mmauto.views import ArmView, TrialView

SPACE = {
    "image/encoder": Choice(("cnn", "vit")),
    "fusion/width": Int(8, 256, 64, log=True),
    "train/lr": Float(1e-4, 1e-1, 1e-3, log=True),
}


def make_arm(name: str = "one", **more: object) -> Arm:
    return Arm(ArmView(name, "fusion", name, "early", ""), ("image",), {**SPACE, **more})


def quality(params: dict) -> float:
    """A smooth surface whose best point is lr = 1e-2 with the vit."""
    import math

    return -abs(math.log10(params["train/lr"]) + 2) + (params["image/encoder"] == "vit")


def play(sampler: str, rounds: int, arm: Arm, seed: int = 0) -> list[TrialView]:
    stored: list[TrialView] = []
    for generation in range(rounds):
        for params in ask(arm, sampler, True, seed, stored, 5):
            place = len(stored)
            stored.append(
                TrialView(place, arm.name, generation, place, "complete", params, quality(params))
            )
    return stored


def test_the_default_configuration_is_the_first_trial() -> None:
    assert ask(make_arm(), "tpe", True, 0, [], 5)[0] == defaults(SPACE)


def test_start_up_points_agree_between_arms_on_shared_parameters() -> None:
    one = ask(make_arm("one"), "tpe", True, 3, [], 5)
    two = ask(make_arm("two", **{"fusion/extra": Float(0.0, 1.0, 0.5)}), "tpe", True, 3, [], 5)
    for left, right in zip(one, two, strict=True):
        assert left == {name: right[name] for name in SPACE}
    assert len({tuple(params.values()) for params in one}) == 5


def test_another_seed_gives_other_start_up_points() -> None:
    assert start_up(make_arm(), 0, 1) != start_up(make_arm(), 1, 1)


@pytest.mark.parametrize(
    "sampler", ["tpe", "random", "qmc", pytest.param("gp", marks=pytest.mark.slow)]
)
def test_every_sampler_gives_admissible_reproducible_points(sampler: str) -> None:
    one, two = play(sampler, 3, make_arm()), play(sampler, 3, make_arm())
    assert [trial.params for trial in one] == [trial.params for trial in two]
    assert all(SPACE[name].admits(value) for trial in one for name, value in trial.params.items())


def test_asking_again_from_the_same_store_asks_the_same() -> None:
    """What makes a resumed search equal to an undisturbed one."""
    stored = play("tpe", 2, make_arm())
    assert ask(make_arm(), "tpe", True, 0, stored, 5) == ask(make_arm(), "tpe", True, 0, stored, 5)


def test_tpe_finds_the_good_region_better_than_chance() -> None:
    best = [
        max(trial.value for trial in play(sampler, 8, make_arm(), seed)[START_UP + 1 :])
        for sampler in ("tpe",)
        for seed in range(3)
    ]
    assert min(best) > 0.8


def test_a_wider_space_takes_stored_trials_along_at_their_defaults() -> None:
    stored = play("tpe", 2, make_arm())
    wider = make_arm(
        **{"image/encoder": Choice(("cnn", "vit", "new")), "fusion/extra": Int(1, 4, 2)}
    )
    frozen = freeze(wider, stored[0])
    assert frozen is not None
    assert frozen.params["fusion/extra"] == 2
    asked = list(ask(wider, "tpe", True, 0, stored, 8))
    assert all(set(params) == set(wider.space) for params in asked)


def test_a_value_that_the_space_no_longer_admits_is_left_out() -> None:
    stored = TrialView(0, "one", 0, 0, "complete", {**defaults(SPACE), "fusion/width": 999}, 0.5)
    frozen = freeze(make_arm(), stored)
    assert frozen is not None
    assert "fusion/width" not in frozen.params


def test_running_trials_are_not_told() -> None:
    assert freeze(make_arm(), TrialView(0, "one", 0, 0, "running", defaults(SPACE))) is None
