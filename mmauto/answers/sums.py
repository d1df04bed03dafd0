"""Metrics that follow from sums over rows: a resample or a swap changes the sums alone.

Each row of a run contributes a few numbers (was it a hit, of which class, how far off); the metric
is a function of their totals. So thousands of resamples are one matrix product.
"""

from __future__ import annotations

import numpy as np

from mmauto.engine.metrics import decide
from mmauto.values import TargetSpec

RANKINGS = ("auroc", "average_precision")
"""Metrics that compare rows with each other; all others are functions of sums."""


def contributions(
    metric: str, spec: TargetSpec, truth: np.ndarray, given: np.ndarray
) -> np.ndarray:
    """``(N, K)`` what each row adds to the sums of a metric.

    Args:
        truth: ``(N,)`` or ``(N, width)``, all observed.
        given: ``(N, width)`` predictions of one run; of a binary target both classes' columns.
    """
    one = np.ones((len(truth), 1))
    if spec.kind == "regression":
        error = truth - given[:, 0]
        if metric == "mae":
            return np.hstack([np.abs(error)[:, None], one])
        if metric == "rmse":
            return np.hstack([error[:, None] ** 2, one])
        centred = (
            truth - truth.mean()
        )  # the spread does not depend on the origin, its rounding does
        return np.column_stack([error**2, centred**2, centred, one])
    several = spec.kind == "multilabel"
    guess = decide(given, several)
    if metric == "accuracy":
        hit = (guess == truth).mean(axis=1) if several else (guess == truth)
        return np.hstack([hit.astype(float)[:, None], one])
    if several:
        right, said = truth > 0.5, guess > 0
    else:
        names = np.arange(given.shape[1])
        right, said = truth.astype(int)[:, None] == names, guess[:, None] == names
    return np.hstack([right & said, right, said]).astype(float)


def value_of(metric: str, spec: TargetSpec, sums: np.ndarray) -> np.ndarray:
    """``(R,)`` a metric from ``(R, K)`` sums; NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric == "r2":
            error, square, middle, total = sums.T
            spread = square - middle**2 / total
            return np.where(spread > 1e-9 * total, 1 - error / spread, np.nan)
        if metric in ("mae", "accuracy"):
            return np.asarray(sums[:, 0] / sums[:, 1])
        if metric == "rmse":
            return np.asarray(np.sqrt(sums[:, 0] / sums[:, 1]))
        hit, seen, said = np.split(sums, 3, axis=1)  # (R, C) each
        if metric == "balanced_accuracy":
            each, counts = hit / seen, seen > 0
        else:
            below = {"precision": said, "recall": seen, "f1": (seen + said) / 2}[metric]
            # nothing said or nothing there counts as zero, as in scikit-learn with zero_division=0
            each = np.where(below > 0, hit / below, 0.0)
            several = spec.kind == "multilabel"
            counts = np.ones_like(hit, dtype=bool) if several else (seen + said) > 0
        return np.asarray(np.where(counts, each, 0.0).sum(axis=1) / counts.sum(axis=1))


def both_columns(spec: TargetSpec, given: np.ndarray) -> np.ndarray:
    """``(N, width)`` predictions; of a binary target the columns of both classes."""
    if spec.kind != "binary":
        return given
    return np.column_stack([1 - given[:, 0], given[:, 0]])
