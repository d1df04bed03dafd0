"""Which arms are worth what they cost: Pareto fronts, and the cheapest arm as good as the winner.

An arm is on the front of a cost if no other is both as cheap and as good, and better in one of the
two (Pareto 1906). Costs that were not measured are left out, not taken for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmauto.answers.overlap import stretch_of
from mmauto.answers.statistics import Resampled, Scored
from mmauto.engine.thresholds import at_half
from mmauto.views import Costs, Interval, Standing, StudyView

PRICES: Mapping[str, Callable[[Costs], float]] = {
    "train_seconds": lambda costs: costs.train_seconds,
    "latency_1": lambda costs: costs.latency_1,
    "latency_64": lambda costs: costs.latency_64,
    "parameters": lambda costs: costs.parameters,
    "all_parameters": lambda costs: costs.parameters + costs.frozen_parameters,
    "peak_memory": lambda costs: costs.peak_memory,
}
"""Each cost in the unit of `Costs`; 0 where it was not measured."""

CLEARLY = 1.1
"""The winner's cost by a cheaper arm's, at least: two runs of one arm differ a little, too."""


@dataclass(frozen=True)
class Priced:
    """One arm's test metric beside one of its costs."""

    line: Standing
    cost: float
    front: bool


@dataclass(frozen=True)
class Bargain:
    """The cheapest arm that is not worse than the winner by more than chance.

    Attributes:
        arm: its name; the winner's where no arm that is clearly cheaper will do.
        times: the winner's cost divided by its.
        gain: its paired gain over the winner on the test split; None for the winner itself.
    """

    arm: str
    times: float
    gain: Interval | None


def priced(view: StudyView) -> dict[str, list[Priced]]:
    """Cost -> the arms for which it was measured, cheapest first; the best first among equals."""
    found = {}
    for name, price in PRICES.items():
        lines = [line for line in view.comparison.lines if price(line.costs) > 0]
        points = [(price(line.costs), line.test.value) for line in lines]
        members = set(front(points, view.comparison.maximise))
        sign = -1.0 if view.comparison.maximise else 1.0
        order = sorted(
            range(len(lines)), key=lambda place: (points[place][0], sign * points[place][1])
        )
        found[name] = [Priced(lines[place], points[place][0], place in members) for place in order]
    return found


def front(points: Sequence[tuple[float, float]], maximise: bool) -> list[int]:
    """Places of the points that no other dominates, cheapest first.

    Args:
        points: cost and quality; points whose quality is NaN are never members.
        maximise: more quality is better; otherwise less is (an error).
    """
    sign = 1.0 if maximise else -1.0
    known = [place for place, (_, quality) in enumerate(points) if not math.isnan(quality)]
    members: list[int] = []
    for place in sorted(known, key=lambda place: (points[place][0], -sign * points[place][1])):
        better = not members or sign * points[place][1] > sign * points[members[-1]][1]
        if better or points[place] == points[members[-1]]:
            members.append(place)
    return members


def bargains(view: StudyView) -> dict[str, Bargain]:
    """Cost -> its bargain, for each cost of the winner that was measured.

    The winner was chosen on validation, and stays so: this asks what less would do. An arm that
    cannot be told from it on few rows may still be worse; its interval says by how much.
    """
    winner = next(
        (s for s in view.comparison.standings if s.arm.name == view.comparison.winner), None
    )
    if winner is None:
        return {}
    gains = _Gains(view, winner.arm.name)
    found = {}
    for name, price in PRICES.items():
        full = price(winner.costs)
        cheaper = [
            line
            for line in view.comparison.standings
            # a guess is as good as anything on so few rows that nothing can be told apart
            if line.arm.component != GUESS and 0 < CLEARLY * price(line.costs) <= full
        ]
        if full > 0:
            cheaper.sort(key=lambda line: price(line.costs))
            chosen = next((line for line in cheaper if gains.as_good(line.arm.name)), winner)
            gain = None if chosen is winner else gains.over_winner(chosen.arm.name)
            found[name] = Bargain(chosen.arm.name, full / price(chosen.costs), gain)
    return found


GUESS = "majority"
"""The control that looks at no row; nobody should be advised to use it."""


class _Gains:
    """Paired gains over the winner on the test rows, each computed once."""

    def __init__(self, view: StudyView, winner: str):
        task = view.task
        self.view, self.winner, self.target = view, winner, task.primary
        truth = view.truth["test"][task.primary]
        self.shared = Resampled(
            task.metric, task.targets[task.primary], truth, view.groups.get("test"),
            stretch=stretch_of(view),
        )  # fmt: skip
        self._scores: dict[str, dict[int, Scored]] = {}

    def over_winner(self, arm: str) -> Interval | None:
        """Over the seeds of both; None where they share none."""
        ours, theirs = self._scored(arm), self._scored(self.winner)
        seeds = [seed for seed in ours if seed in theirs]
        if not seeds:
            return None
        return self.shared.gain([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])

    def as_good(self, arm: str) -> bool:
        """Whether it is not worse by more than chance."""
        gain = self.over_winner(arm)
        return gain is not None and gain.high >= 0

    def _scored(self, arm: str) -> dict[int, Scored]:
        if arm not in self._scores:
            self._scores[arm] = {
                run.seed: self.shared.score(at_half(run, self.target))
                for run in self.view.confirmations
                if run.arm == arm and run.failure is None and self.target in run.test
            }
        return self._scores[arm]
