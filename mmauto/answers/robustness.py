"""How arms break: the metric as a modality goes missing, or gets worse.

Each curve starts with the rows as they are; its area, from 0 to 1, is the mean of the metric on the
way. Where a fusion falls below the reference under the same change, its gain is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmauto.answers.asked import CLEAN, Asked
from mmauto.answers.statistics import Scored, interval
from mmauto.views import Interval, StudyView


@dataclass(frozen=True)
class Curve:
    """One arm under one change.

    Attributes:
        what: ``missing`` or what is done to the samples, e.g. ``blur``.
        levels: from 0, as the rows are, to 1.
        values: the metric at each level; errors are not turned round.
        area: the mean over levels.
        below: the level from which the reference is better under the same change; None where it
            never is, or for the reference itself.
    """

    arm: str
    modality: str
    what: str
    levels: tuple[float, ...]
    values: tuple[Interval, ...]
    area: Interval
    below: float | None = None


def robustness(view: StudyView) -> list[Curve]:
    """Of every arm and every change to a modality that it reads; none where nobody was asked."""
    if view.probes is None:
        return []
    whole, some = Asked(view), Asked(view, view.probes.spoilt)
    reference = view.comparison.reference
    found = []
    for arm in whole.arms:
        for modality, what in _changes(whole, arm):
            asked = (
                whole if what == "missing" else some
            )  # all points of a curve are of the same rows
            levels, scored = _along(asked, arm, modality, what)
            below = None
            if reference in asked.arms and arm != reference:
                theirs = _same(asked, str(reference), modality, what, levels)
                below = _crossing(levels, scored, theirs)
            found.append(
                Curve(
                    arm, modality, what, tuple(levels),
                    tuple(_turned(asked, one) for one in scored),
                    _turned(asked, _area(levels, scored)), below,
                )
            )  # fmt: skip
    return found


def _changes(asked: Asked, arm: str) -> list[tuple[str, str]]:
    pairs = []
    for name in asked.answers[arm]:
        kind, modality, how, _ = (name.split("|") + [""] * 4)[:4]
        if kind in ("missing", "spoilt"):
            pairs.append((modality, how or "missing"))
    return list(dict.fromkeys(pairs))


def _along(asked: Asked, arm: str, modality: str, what: str) -> tuple[list[float], list[Scored]]:
    start = f"missing|{modality}||" if what == "missing" else f"spoilt|{modality}|{what}|"
    names = {float(n.rpartition("|")[2]): n for n in asked.answers[arm] if n.startswith(start)}
    levels = sorted(names)
    return [0.0, *levels], [asked.score(arm, name) for name in (CLEAN, *(names[x] for x in levels))]


def _same(
    asked: Asked, arm: str, modality: str, what: str, levels: Sequence[float]
) -> list[Scored] | None:
    """The reference under the same change; as it is where it does not read the modality.

    None where either could not be asked at a level at which the other was.
    """
    if modality not in asked.keys(arm):
        return [asked.score(arm)]
    known, scored = _along(asked, arm, modality, what)
    return scored if known == levels else None


def _crossing(
    levels: Sequence[float], ours: Sequence[Scored], theirs: Sequence[Scored] | None
) -> float | None:
    if theirs is None:
        return None
    one = np.array([point.value for point in ours])
    two = np.array([point.value for point in theirs]) * np.ones(len(one))
    gap = one - two
    if gap[0] < 0 or (gap >= 0).all():
        return 0.0 if gap[0] < 0 else None
    at = int(np.flatnonzero(gap < 0)[0])
    share = gap[at - 1] / (gap[at - 1] - gap[at])
    return float(levels[at - 1] + share * (levels[at] - levels[at - 1]))


def _area(levels: Sequence[float], points: Sequence[Scored]) -> Scored:
    widths = np.diff(levels)
    weights = np.zeros(len(levels))
    weights[:-1] += widths / 2
    weights[1:] += widths / 2
    weights /= weights.sum()
    return Scored(
        float(sum(w * point.value for w, point in zip(weights, points, strict=True))),
        np.asarray(sum(w * point.resamples for w, point in zip(weights, points, strict=True))),
    )


def _turned(asked: Asked, found: Scored) -> Interval:
    """With the metric's own sign."""
    return interval(asked.sign * found.value, asked.sign * found.resamples)
