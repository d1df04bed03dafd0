"""What it costs to answer: the share of errors as only the surest rows are answered.

A model that knows what it does not know errs less the more it leaves to people (El-Yaniv and Wiener
2010, JMLR; Geifman and El-Yaniv 2017, NeurIPS). Decisions fall at the thresholds that validation
chose, and the surest are those farthest from them. Rows of equal probability are answered together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmauto.answers.judged import Judged, bounded
from mmauto.engine.metrics import decide
from mmauto.views import Interval, StudyView

SHARES = (1.0, 0.8, 0.5)
MOST_POINTS = 200
AT_ONCE = 4_000_000
"""Cells of a table of resamples by rows that are in memory at a time."""


@dataclass(frozen=True)
class Abstention:
    """One arm's errors by how much it answers, means over runs.

    Attributes:
        answered: shares of the rows, rising to 1.
        errors: share wrong of these; of the labels where a row has several.
        area: the mean error over all shares, the less the better.
        at: share answered -> errors, for `SHARES`.
    """

    arm: str
    answered: tuple[float, ...]
    errors: tuple[float, ...]
    area: Interval
    at: Mapping[float, Interval]


def abstention(view: StudyView) -> list[Abstention]:
    """Of the winner, then of the best single modality; none for a number."""
    judged = Judged(view)
    if judged.spec.kind == "regression":
        return []
    return [_abstention(judged, arm) for arm in judged.arms]


def _abstention(judged: Judged, arm: str) -> Abstention:
    rows = len(judged.truth)
    answered = np.arange(1, min(rows, MOST_POINTS) + 1) / min(rows, MOST_POINTS)
    curves, figures = [], []
    for run in judged.predicted(arm):
        sure, wrong = _sure_and_wrong(judged.truth, judged.decided(run))
        curve = risks(sure, wrong, np.ones((1, rows)), answered)[0, 1:]
        curves.append(curve)
        parts = np.array_split(judged.weights, -(-judged.weights.size // AT_ONCE))
        figures.append(np.vstack([risks(sure, wrong, part, SHARES) for part in parts]))
    area, *at = (judged.mean([one[:, k] for one in figures]) for k in range(1 + len(SHARES)))
    return Abstention(
        arm,
        tuple(answered.tolist()),
        tuple(np.mean(curves, axis=0).tolist()),
        bounded(area),
        {part: bounded(one) for part, one in zip(SHARES, at, strict=True)},
    )


def _sure_and_wrong(truth: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` how sure a run is of each row, and the share of it that is wrong."""
    if truth.ndim == 2:
        wrong = (decide(given, True) != truth).mean(axis=1)
        return np.maximum(given, 1 - given).mean(axis=1), wrong
    return given.max(axis=1), (given.argmax(axis=1) != truth).astype(float)


def risks(
    sure: np.ndarray, wrong: np.ndarray, weights: np.ndarray, shares: Sequence[float] | np.ndarray
) -> np.ndarray:
    """``(R, 1 + len(shares))`` the area, then the errors at each share answered.

    Args:
        sure, wrong: ``(N,)``.
        weights: ``(R, N)`` how often each row counts, not all 0 in a line.
        shares: above 0, up to 1.
    """
    order = np.argsort(-sure, kind="stable")
    falling = -sure[order]
    together = np.searchsorted(falling, falling, side="right") - 1  # the last row as sure as this
    drawn = weights[:, order].astype(float)
    answered = drawn.cumsum(axis=1)[:, together]  # (R, N)
    errors = (drawn * wrong[order]).cumsum(axis=1)[:, together]
    risk = errors / np.maximum(answered, 1.0)
    total = answered[:, -1:]
    area = (drawn * risk).sum(axis=1) / total[:, 0]
    # a little slack, since k / N * N may come out above k
    firsts = [(answered >= share * total - 1e-6).argmax(axis=1) for share in shares]
    return np.column_stack([area, *(risk[np.arange(len(risk)), first] for first in firsts)])
