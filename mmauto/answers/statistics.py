"""Intervals that count both sources of chance: which rows were drawn, and which seeds.

Seeds and samples (whole groups where rows come in groups) are resampled crossed: an interval over
samples alone would be far too narrow, since another training run gives another model (Owen 2007,
the pigeonhole bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmauto.answers.weighted import weighted_score
from mmauto.engine.metrics import METRICS, observed, score
from mmauto.values import TargetSpec
from mmauto.views import Interval

LEVEL = 0.95
RESAMPLES = 2000


class Resampled:
    """The metric of one or several models under the same resampled rows and seeds.

    Args:
        truth: ``(N,)`` or ``(N, width)``; unobserved rows are left out.
        groups: ``(N,)`` labels whose rows are drawn together, or None.
        seeds: number of runs of each model; run ``i`` of two models shares its seed.
    """

    def __init__(
        self,
        metric: str,
        spec: TargetSpec,
        truth: np.ndarray,
        groups: np.ndarray | None,
        seeds: int,
        seed: int = 0,
    ):
        self.metric, self.spec = metric, spec
        self.known = observed(spec, truth)
        self.truth = truth[self.known]
        source = np.random.default_rng(seed)
        self.rows = self._draw_rows(
            source, RESAMPLES, None if groups is None else groups[self.known]
        )
        self.seeds = source.integers(0, seeds, (len(self.rows), seeds))  # (R, S)

    def _draw_rows(
        self, source: np.random.Generator, count: int, groups: np.ndarray | None
    ) -> np.ndarray:
        """(R, N) how often each row is drawn; R is 0 where no row is observed."""
        size = len(self.truth)
        if not size:
            return np.empty((0, 0), dtype=np.float32)
        units = np.arange(size) if groups is None else np.unique(groups, return_inverse=True)[1]
        total = int(units.max()) + 1
        drawn = source.multinomial(total, np.full(total, 1 / total), size=count)
        return drawn[:, units].astype(np.float32)

    def values(self, runs: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
        """The mean metric over runs, and the same under each resample ``(R,)``.

        Args:
            runs: ``(N, width)`` predictions of each run, all rows.
        """
        plain = [score(self.metric, self.spec, self.truth, run[self.known]) for run in runs]
        each = np.stack(  # (S, R)
            [
                weighted_score(self.metric, self.spec, self.truth, run[self.known], self.rows)
                for run in runs
            ]
        )
        picked = each[self.seeds.T, np.arange(each.shape[1])]  # (S, R)
        return float(np.mean(plain)), picked.mean(axis=0)


def interval(value: float, resamples: np.ndarray) -> Interval:
    """The percentile interval; without spread of its own where nothing is defined."""
    known = resamples[np.isfinite(resamples)]
    if not len(known):
        return Interval(value, math.nan, math.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return Interval(value, float(low), float(high))


def bootstrap_interval(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    runs: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Interval:
    """The mean metric over runs with its crossed bootstrap interval."""
    return interval(*Resampled(metric, spec, truth, groups, len(runs), seed).values(runs))


def paired_difference(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    runs: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Interval:
    """How much better ``runs`` are than ``reference``: positive is better, whatever the metric.

    Rows and seeds are resampled alike on both sides; runs beyond the shorter list are left out.
    """
    count = min(len(runs), len(reference))
    shared = Resampled(metric, spec, truth, groups, count, seed)
    one, ones = shared.values(runs[:count])
    two, twos = shared.values(reference[:count])
    sign = 1.0 if METRICS[metric].maximise else -1.0
    return interval(sign * (one - two), sign * (ones - twos))
