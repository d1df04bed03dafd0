"""Every metric under many resamples at once: rows count as often as they were drawn.

A resample is a row of weights, so a metric of 2,000 resamples is a few matrix products instead of
2,000 calls; rankings walk once down the sorted rows, with all resamples side by side. Each agrees
with `mmauto.engine.metrics.score` on the repeated rows (tested by brute force); undefined values
are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator

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
        weights: ``(R, N)`` how often each row counts. Rankings are fastest where its columns are
            contiguous floats of 64 bits.
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
    by_row = np.ascontiguousarray(weights.T, dtype=float)
    each = np.stack([one(positive, scores, by_row) for positive, scores in pairs])
    known = np.isfinite(each)
    return np.asarray(np.where(known, each, 0.0).sum(axis=0) / known.sum(axis=0))


def _steps(
    positive: np.ndarray, scores: np.ndarray, by_row: np.ndarray
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """(R,) weight of positive and of negative rows at each distinct score, highest first.

    None: no such row has this score.
    """
    order = np.argsort(-scores, kind="stable")
    falling, real = scores[order], positive[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]) + 1, len(order)).tolist()
    start = 0
    for end in ends:
        if end == start + 1:  # most scores are those of one row
            row = by_row[order[start]]
            yield (row, None) if real[start] else (None, row)
        else:
            rows, own = order[start:end], real[start:end]
            yield _total(by_row, rows[own]), _total(by_row, rows[~own])
        start = end


def _total(by_row: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    return by_row[rows].sum(axis=0) if len(rows) else None


def _auroc(positive: np.ndarray, scores: np.ndarray, by_row: np.ndarray) -> np.ndarray:
    above, lost, total = np.zeros((3, by_row.shape[1]))
    for good, bad in _steps(positive, scores, by_row):
        if good is not None:
            lost += good * (above if bad is None else above + 0.5 * bad)  # ties count half
            total += good
        if bad is not None:
            above += bad
    pairs = total * above
    return np.where(pairs > 0, 1 - lost / pairs, np.nan)


def _average_precision(positive: np.ndarray, scores: np.ndarray, by_row: np.ndarray) -> np.ndarray:
    found, seen, area = np.zeros((3, by_row.shape[1]))
    seen += np.finfo(float).tiny  # before any row was seen the precision is 0, not 0 / 0
    for good, bad in _steps(positive, scores, by_row):
        if bad is not None:
            seen += bad
        if good is not None:
            found += good
            seen += good
            area += good * (found / seen)
    defined = (found > 0) & (seen > found)
    return np.where(defined, area / found, np.nan)
