"""Every metric under many resamples at once: rows count as often as they were drawn.

A resample is a row of weights, so a metric of 2,000 resamples is a few matrix products instead of
2,000 calls. Each agrees with `mmauto.engine.metrics.score` on the repeated rows (tested by brute
force); undefined values are NaN.
"""

from __future__ import annotations

import numpy as np

from mmauto.answers.sums import RANKINGS, both_columns, contributions, value_of
from mmauto.values import TargetSpec


def weighted_score(
    metric: str, spec: TargetSpec, truth: np.ndarray, given: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """``(R,)`` one metric under each row of weights.

    Args:
        truth: ``(N,)`` or ``(N, width)``, all observed.
        given: ``(N, width)`` predictions of one run.
        weights: ``(R, N)`` how often each row counts.
    """
    if not weights.size:
        return np.full(len(weights), np.nan)
    given = both_columns(spec, given)
    if metric in RANKINGS:
        with np.errstate(invalid="ignore", divide="ignore"):
            return _ranking(metric, spec, truth, given, weights)
    return value_of(metric, spec, weights @ contributions(metric, spec, truth, given))


def _ranking(
    metric: str, spec: TargetSpec, truth: np.ndarray, given: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean over classes against the rest, where defined."""
    one = _auroc if metric == "auroc" else _average_precision
    if spec.kind == "multilabel":
        pairs = [(truth[:, c] > 0.5, given[:, c]) for c in range(truth.shape[1])]
    else:
        places = [1] if spec.kind == "binary" else range(given.shape[1])
        pairs = [(truth == c, given[:, c]) for c in places]
    each = np.stack([one(*_steps(positive, scores, weights)) for positive, scores in pairs])
    known = np.isfinite(each)
    return np.asarray(np.where(known, each, 0.0).sum(axis=0) / known.sum(axis=0))


def _steps(
    positive: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(R, U) weight of positive and of negative rows at each distinct score, highest first."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
    drawn, good = weights[:, order].astype(float), positive[order]
    above, below = drawn * good, drawn * ~good
    if len(starts) == len(order):  # without ties there is nothing to add up
        return above, below
    return np.add.reduceat(above, starts, axis=1), np.add.reduceat(below, starts, axis=1)


def _auroc(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    beaten = bad.sum(axis=1, keepdims=True) - bad.cumsum(axis=1) + 0.5 * bad  # ties count half
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    return np.where(pairs > 0, (good * beaten).sum(axis=1) / pairs, np.nan)


def _average_precision(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    found = good.cumsum(axis=1)
    share = found + bad.cumsum(axis=1)
    precision = np.where(share > 0, found / share, 0.0)
    total = good.sum(axis=1)
    defined = (total > 0) & (bad.sum(axis=1) > 0)
    return np.where(defined, (good * precision).sum(axis=1) / total, np.nan)
