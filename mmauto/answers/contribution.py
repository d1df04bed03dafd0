"""What a model relies on: each modality's Shapley value, and what pairs of them do together.

The value of a set of modalities is the metric on rows where all others come from another row, so
that they are there but say nothing of their own. A modality's Shapley value is the mean gain
of adding it, over all orders (Shapley 1953; Lundberg and Lee 2017, NeurIPS); the interaction of two
is the mean of what they gain together beyond what they gain one by one (Grabisch and Roubens 1999).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

from mmauto.answers.asked import CLEAN, Asked, combined
from mmauto.answers.statistics import Scored, interval
from mmauto.views import Interval, StudyView

LAZY = 0.05
"""Share of all gain below which a modality hardly counts."""

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Contribution:
    """What one arm relies on.

    Attributes:
        values: modality -> its Shapley value, in units of the metric, positive is better.
        interactions: pairs -> positive where they are worth more together.
        nothing, everything: the metric where all modalities say nothing, and as it is.
    """

    arm: str
    values: Mapping[str, Interval]
    interactions: Mapping[tuple[str, str], Interval]
    nothing: float
    everything: float

    @property
    def lazy(self) -> list[str]:
        """Modalities that the model hardly uses, or may not use at all."""
        gain = self.everything - self.nothing
        return [
            key
            for key, found in self.values.items()
            if len(self.values) > 1 and gain > 0 and found.value < LAZY * gain and found.low <= 0
        ]


def contributions(view: StudyView) -> list[Contribution]:
    """Of every arm that was asked, best on validation first."""
    if view.probes is None:
        return []
    asked = Asked(view)
    found = [contribution(asked, arm) for arm in asked.arms]
    return [one for one in found if one is not None]


def contribution(asked: Asked, arm: str) -> Contribution | None:
    """None where subsets were not asked for, since there are too many."""
    keys = asked.keys(arm)
    subsets = [frozenset(s) for size in range(len(keys) + 1) for s in combinations(keys, size)]
    worth: dict[str, Scored] = {}
    for known in subsets:
        gone = [key for key in keys if key not in known]
        names = _questions(asked, arm, gone)
        if not names:
            return None
        worth[_name(known)] = asked.mean(arm, names)
    pairs = list(combinations(keys, 2))
    return Contribution(
        arm,
        {key: _interval(combined(_shapley(key, keys), worth)) for key in keys},
        {pair: _interval(combined(_interaction(pair, keys), worth)) for pair in pairs},
        worth[_name(())].value,
        worth[_name(keys)].value,
    )


def _questions(asked: Asked, arm: str, gone: Sequence[str]) -> list[str]:
    if not gone:
        return [CLEAN]
    start = f"swapped|{'+'.join(gone)}||"
    return [name for name in asked.answers[arm] if name.startswith(start)]


def _shapley(key: str, keys: Sequence[str]) -> Weights:
    """Weights of the sets whose sum is the Shapley value."""
    total, found = len(keys), dict[str, float]()
    others = [other for other in keys if other != key]
    for size in range(total):
        weight = factorial(size) * factorial(total - size - 1) / factorial(total)
        for rest in combinations(others, size):
            _add(found, (*rest, key), weight)
            _add(found, rest, -weight)
    return found


def _interaction(pair: tuple[str, str], keys: Sequence[str]) -> Weights:
    total, found = len(keys), dict[str, float]()
    others = [other for other in keys if other not in pair]
    for size in range(total - 1):
        weight = factorial(size) * factorial(total - size - 2) / factorial(total - 1)
        for rest in combinations(others, size):
            for more, sign in ((pair, 1), (pair[:1], -1), (pair[1:], -1), ((), 1)):
                _add(found, (*rest, *more), sign * weight)
    return found


def _add(weights: dict[str, float], members: Sequence[str], weight: float) -> None:
    name = _name(members)
    weights[name] = weights.get(name, 0.0) + weight


def _name(members: Sequence[str] | frozenset[str]) -> str:
    return "+".join(sorted(members))


def _interval(found: Scored) -> Interval:
    return interval(found.value, found.resamples)
