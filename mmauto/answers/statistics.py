"""Intervals that count both sources of chance: which rows were drawn, and which seeds.

Seeds and samples (whole groups where rows come in groups) are resampled crossed: an interval over
samples alone would be far too narrow, since another training run gives another model (Owen 2007,
the pigeonhole bootstrap). Seeds are few, so what they add is widened as Student's t widens a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmauto.answers.weighted import weighted_score
from mmauto.engine.metrics import METRICS, Metric, observed, score
from mmauto.values import TargetSpec
from mmauto.views import Interval

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Scored:
    """One run's metric: on the rows as they are, and under each resample ``(R,)``."""

    value: float
    resamples: np.ndarray


class Resampled:
    """The same resampled rows for every run that is compared on them.

    A run is scored once; intervals of means and of differences are made of its scores.

    Args:
        truth: ``(N,)`` or ``(N, width)``; unobserved rows are left out.
        groups: ``(N,)`` labels whose rows are drawn together, or None.
        stretch: how many times as far as among so many independent rows chance goes; see
            `mmauto.answers.overlap`.
    """

    def __init__(
        self,
        metric: str,
        spec: TargetSpec,
        truth: np.ndarray,
        groups: np.ndarray | None,
        seed: int = 0,
        resamples: int = RESAMPLES,
        stretch: float = 1.0,
    ):
        self.metric, self.spec, self.seed, self.resamples = metric, spec, seed, resamples
        self.stretch = stretch
        self.known = observed(spec, truth)
        self.truth = truth[self.known]
        self.rows = self._draw_rows(None if groups is None else groups[self.known])

    def _draw_rows(self, groups: np.ndarray | None) -> np.ndarray:
        """(R, N) how often each row is drawn; R is 0 where no row is observed."""
        size = len(self.truth)
        if not size:
            return np.empty((0, 0), dtype=np.float32)
        units = units_of(size, groups)
        total = int(units.max()) + 1
        source = np.random.default_rng(self.seed)
        drawn = source.multinomial(total, np.full(total, 1 / total), size=self.resamples)
        return drawn[:, units].astype(np.float32)

    def draw_seeds(self, count: int) -> np.ndarray:
        """(R, count) which of ``count`` runs stand for each resample; the same at each call."""
        source = np.random.default_rng((self.seed, count))
        return source.integers(0, count, (len(self.rows), count))

    def score(self, run: np.ndarray) -> Scored:
        """The metric of one run, ``(N, width)`` predictions for all rows."""
        given = run[self.known]
        return Scored(
            score(self.metric, self.spec, self.truth, given),
            weighted_score(self.metric, self.spec, self.truth, given, self.rows),
        )

    def mean(self, runs: Sequence[Scored]) -> Interval:
        """The mean over runs, rows and runs resampled crossed."""
        found = wider(interval(*self.crossed(runs)), self.stretch)
        return possible(found, METRICS[self.metric])

    def gain(self, runs: Sequence[Scored], reference: Sequence[Scored]) -> Interval:
        """How much better ``runs`` are than ``reference``: positive is better, whatever the metric.

        Run ``i`` of both sides shares its seed; rows and seeds are resampled alike.
        """
        sign = 1.0 if METRICS[self.metric].maximise else -1.0
        pairs = zip(runs, reference, strict=True)
        gains = [
            Scored(sign * (a.value - b.value), sign * (a.resamples - b.resamples)) for a, b in pairs
        ]
        return wider(interval(*self.crossed(gains)), self.stretch)

    def crossed(self, runs: Sequence[Scored]) -> tuple[float, np.ndarray]:
        """The mean over runs, and under each resample ``(R,)`` of rows and runs."""
        each = np.stack([run.resamples for run in runs], axis=1)  # (R, S)
        values = np.array([run.value for run in runs])
        picked = np.take_along_axis(each, self.draw_seeds(len(runs)), axis=1)
        middle = each.mean(axis=1)
        return float(values.mean()), middle + widening(values, each) * (
            picked.mean(axis=1) - middle
        )


def units_of(size: int, groups: np.ndarray | None) -> np.ndarray:
    """``(N,)`` which rows stand or fall together, counted from 0: rows, or whole groups."""
    return np.arange(size) if groups is None else np.unique(groups, return_inverse=True)[1]


def widening(values: np.ndarray, resamples: np.ndarray) -> float:
    """By how much the spread that resampled seeds add to an interval is multiplied.

    Resampling ``S`` seeds gives ``(S - 1) / S`` of the variance of their mean, and a deviation
    estimated from so few seeds is itself uncertain: Student's t quantile allows for that. Of the
    spread between seeds, the part that is the luck of the rows is left out: resampled rows have it.

    Args:
        values: ``(S,)`` metrics of the seeds on the rows as they are.
        resamples: ``(R, S)`` under each resample of the rows.
    """
    count = len(values)
    between = values.var(ddof=1) if count > 1 else 0.0
    if not between > 0:
        return 1.0
    from scipy.special import stdtrit

    own = resamples - resamples.mean(axis=1, keepdims=True)
    by_rows = np.nanvar(own, axis=0).mean() * count / (count - 1)
    seeds = max(0.0, 1.0 - by_rows / between)
    level = 1 - (1 - LEVEL) / 2
    student = stdtrit(count - 1, level) / stdtrit(np.inf, level)
    return float(student * math.sqrt(count / (count - 1) * seeds))


def interval(value: float, resamples: np.ndarray) -> Interval:
    """The percentile interval; NaN at both ends where the metric is never defined."""
    known = resamples[np.isfinite(resamples)]
    if not len(known):
        return Interval(value, math.nan, math.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return Interval(value, float(low), float(high))


def wider(found: Interval, by: float) -> Interval:
    """The interval with ends that are so many times as far away."""
    if by == 1:  # to the last bit
        return found
    low, high = (found.value + by * (end - found.value) for end in (found.low, found.high))
    return Interval(found.value, low, high)


def possible(found: Interval, metric: Metric) -> Interval:
    """None that is maximised exceeds 1; none but R² is below 0."""
    if metric.maximise:
        found = replace(found, high=min(found.high, 1.0))
    return found if metric.name == "r2" else replace(found, low=max(found.low, 0.0))


def bootstrap_interval(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    runs: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Interval:
    """The mean metric over runs with its crossed bootstrap interval."""
    shared = Resampled(metric, spec, truth, groups, seed)
    return shared.mean([shared.score(run) for run in runs])


def paired_difference(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    runs: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Interval:
    """How much better ``runs`` are than ``reference``; see `Resampled.gain`.

    Runs beyond the shorter list are left out.
    """
    shared = Resampled(metric, spec, truth, groups, seed)
    count = min(len(runs), len(reference))
    return shared.gain(
        [shared.score(run) for run in runs[:count]],
        [shared.score(run) for run in reference[:count]],
    )
