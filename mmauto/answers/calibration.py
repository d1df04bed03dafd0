"""Whether probabilities mean what they say: of what is called 90 % sure, nine in ten must be right.

Rows are sorted by probability into bins of equal mass (Nguyen and O'Connor 2015, EMNLP), those of
all runs together. For several classes the probability of the class that is named counts (Guo et al.
2017, ICML), for two that of the second, for several labels those of all labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmauto.answers.judged import Judged, bounded, bounds
from mmauto.answers.statistics import LEVEL
from mmauto.engine.metrics import decide
from mmauto.views import Interval

BINS = 10
FEWEST = 20
"""Rows that a bin needs before its share right says anything."""

DRAWS = 200
"""Of labels that the probabilities describe exactly."""

CLOSE = 0.05
"""Of a probability: errors below it hardly change what a reader does."""

TINY = float(np.finfo(np.float32).eps)
"""Models answer in single precision: a probability nearer to 0 than this is rounding."""

Judgement = Literal["over", "under", "close", "uneven", "unknown"]


@dataclass(frozen=True)
class Bin:
    """Rows of like probability.

    Attributes:
        said: their mean probability.
        right: how often it came true.
        share: of all probabilities.
    """

    said: float
    right: Interval
    share: float


@dataclass(frozen=True)
class Agreement:
    """Probabilities against what came true, means over runs.

    Attributes:
        error: expected calibration error, the mean distance of bins from the diagonal; its
            interval starts at 0 where exact probabilities may well show as much.
        chance: what exact probabilities would show on so few rows, on average.
        brier, log_loss: as of scikit-learn, means over labels where there are several.
        certainty: mean probability of what is decided at the thresholds that were chosen.
        accuracy: how often that is right.
        excess: certainty less accuracy, positive where it claims too much.
    """

    bins: tuple[Bin, ...]
    error: Interval
    chance: float
    brier: Interval
    log_loss: Interval
    certainty: float
    accuracy: float
    excess: Interval

    @property
    def judgement(self) -> Judgement:
        """``over`` or ``under`` confident, ``close`` to the truth, ``uneven`` (right on average but
        not at each probability), or ``unknown`` where chance may hide any of them."""
        if self.excess.low > 0:
            return "over"
        if self.excess.high < 0:
            return "under"
        near = max(-self.excess.low, self.excess.high, self.error.high) <= CLOSE
        if near:
            return "close"
        return "uneven" if self.error.low > 0 else "unknown"


def agreement(
    judged: Judged, given: Sequence[np.ndarray], decided: Sequence[np.ndarray]
) -> tuple[Agreement, list[np.ndarray]]:
    """Of one arm, with each run's log loss ``(1 + R,)``.

    Args:
        given: ``(N, width)`` probabilities of each run, as of `Judged.given`.
        decided: the same, bent as of `Judged.decided`: what each run answers.
    """
    truth, total = judged.truth, judged.weights.sum(axis=1)

    def means(rows: np.ndarray) -> np.ndarray:
        """``(1 + R, K)`` of what each row adds ``(N, K)``."""
        return np.asarray((judged.weights @ rows) / total[:, None])

    pairs = [_claims(truth, one) for one in given]
    edges = _edges(np.concatenate([said.ravel() for said, _ in pairs]), len(truth))
    binned = [means(_binned(said, right, edges)) for said, right in pairs]  # (1 + R, 3 B) each
    rows = np.stack(
        [judged.mean(list(each)) for each in np.stack(binned, axis=0).transpose(2, 0, 1)]
    )
    share, said, right = np.split(rows, 3)  # (B, 1 + R) each
    off = [np.abs(np.subtract(*np.split(one, 3, axis=1)[1:])).sum(axis=1) for one in binned]
    per_row = [
        means(np.column_stack(_per_row(truth, *both))) for both in zip(given, decided, strict=True)
    ]
    brier, loss, sure, hit = (judged.mean([one[:, k] for one in per_row]) for k in range(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        bins = tuple(
            Bin(float(s[0] / w[0]), bounded(r / w), float(w[0]))
            for w, s, r in zip(share, said, right, strict=True)
        )
    chance = _by_chance([said for said, _ in pairs], edges)
    found = Agreement(
        bins, _error(bounds(judged.mean(off)), chance), float(chance.mean()), bounds(brier),
        bounds(loss), float(sure[0]), float(hit[0]), bounds(sure - hit),
    )  # fmt: skip
    return found, [one[:, 1] for one in per_row]


def _claims(truth: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(N, L)`` probabilities, and whether they came true."""
    if truth.ndim == 2:
        return given, truth > 0.5
    if given.shape[1] == 2:
        return given[:, 1:], truth[:, None] == 1
    return given.max(axis=1, keepdims=True), (given.argmax(axis=1) == truth)[:, None]


def _edges(said: np.ndarray, rows: int) -> np.ndarray:
    """Where bins of equal mass part; rows with the same probability stay together."""
    count = int(np.clip(rows // FEWEST, 1, BINS))
    inner = np.quantile(said, np.linspace(0, 1, count + 1)[1:-1], method="higher")
    return np.unique(inner[inner > said.min()])


def _binned(said: np.ndarray, right: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``(N, 3 B)`` what a row adds to each bin: its share, what it said, whether it was right."""
    inside = np.searchsorted(edges, said, side="right")[:, :, None] == np.arange(len(edges) + 1)
    parts = (inside, inside * said[:, :, None], inside * right[:, :, None])
    return np.concatenate([part.mean(axis=1) for part in parts], axis=1)


def _per_row(truth: np.ndarray, given: np.ndarray, decided: np.ndarray) -> tuple[np.ndarray, ...]:
    """Brier score, log loss, certainty and hit, ``(N,)`` each."""
    if truth.ndim == 2:
        named = decide(decided, True)
        sure = np.where(named > 0, given, 1 - given).mean(axis=1)
        hit = (named == truth).mean(axis=1)
        return ((given - truth) ** 2).mean(axis=1), log_losses(truth, given), sure, hit
    square = ((given - (truth[:, None] == np.arange(given.shape[1]))) ** 2).sum(axis=1)
    # scikit-learn halves it where there are two classes, as Brier (1950) did not
    brier = square / 2 if given.shape[1] == 2 else square
    named = decided.argmax(axis=1)
    sure = np.take_along_axis(given, named[:, None], axis=1)[:, 0]
    return brier, log_losses(truth, given), sure, named == truth


def log_losses(truth: np.ndarray, given: np.ndarray) -> np.ndarray:
    """``(N,)`` natural logarithms, mean over labels."""
    if truth.ndim == 2:
        came = np.where(truth > 0.5, given, 1 - given)
        return np.asarray(-np.log(np.clip(came, TINY, 1.0)).mean(axis=1))
    came = np.take_along_axis(given, truth.astype(int)[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.clip(came, TINY, 1.0)))


def _by_chance(said: Sequence[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """``(DRAWS,)`` the error of labels drawn from the probabilities (Bröcker and Smith 2007)."""
    source = np.random.default_rng(0)
    found = np.zeros(DRAWS)
    places = [np.searchsorted(edges, one.ravel(), side="right") for one in said]
    for draw in range(DRAWS):
        luck = source.random(said[0].shape)  # the rows are the same for every run
        for one, inside in zip(said, places, strict=True):
            gaps = np.bincount(inside, (one - (luck < one)).ravel())
            found[draw] += np.abs(gaps).sum() / one.size / len(said)
    return found


def _error(found: Interval, chance: np.ndarray) -> Interval:
    """The basic bootstrap interval, around the value.

    A distance can only grow by chance, and it grows once more in each resample; mirrored at the
    value, that growth is taken off instead of added twice.
    """
    low, high = 2 * found.value - found.high, 2 * found.value - found.low
    if found.value <= np.quantile(chance, LEVEL):
        low = 0.0
    return Interval(found.value, max(0.0, min(low, found.value)), max(high, found.value))
