"""The greedy soup takes what helps, leaves what does not, and is never worse than the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.metrics import score
from mmauto.engine.soup import greedy_soup
from mmauto.registry import Registry


def near(wanted: float) -> Callable[[Mapping[str, Tensor]], float]:
    """The closer the mean weight is to a number, the better."""
    return lambda state: -abs(float(state["w"].mean()) - wanted)


def at(*places: float) -> list[dict[str, Tensor]]:
    return [{"w": torch.full((2,), place), "seen": torch.tensor(place).long()} for place in places]


def test_checkpoints_on_both_sides_of_the_optimum_are_averaged() -> None:
    value_of = near(0.0)
    states = at(1.0, -1.2, 5.0)
    value, state = greedy_soup([(value_of(s), s) for s in states], value_of)
    assert state["w"].tolist() == pytest.approx([-0.1, -0.1])  # 5 is left out
    assert value == pytest.approx(-0.1)
    assert state["seen"].item() == 1  # a counter is no weight


def test_a_checkpoint_that_cannot_be_helped_stays_alone() -> None:
    value_of = near(1.0)
    states = at(1.0, 3.0, 4.0)
    value, state = greedy_soup([(value_of(s), s) for s in states], value_of)
    assert (value, state["w"].tolist()) == (0.0, [1.0, 1.0])


def test_a_confirmed_soup_scores_what_it_says_and_no_less_than_without(
    setup: Setup, registry: Registry, make_job: Callable[..., TrialJob]
) -> None:
    go_on = lambda epoch, values: dict.fromkeys(values, True)  # noqa: E731
    jobs = [make_job(number, epochs=6, soup=soup) for number, soup in ((0, 1), (1, 3))]
    plain, soup = (Executor(setup, registry).run_pack([job], go_on)[0] for job in jobs)
    assert plain.value is not None
    assert soup.value is not None
    assert soup.value >= plain.value
    assert soup.curve == plain.curve
    truth = setup.targets["y"][setup.splits.valid]
    found = score(setup.metric, setup.specs["y"], truth, soup.valid["y"])
    assert found == pytest.approx(soup.value)
