"""Metrics by target kind, in numpy: some run every epoch, and reports ask for thousands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mmauto.errors import ConfigError, unknown
from mmauto.values import Kind, TargetSpec

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        kinds: target kinds that it fits.
        maximise: more is better.
        label: as shown to people.
        compute: ``(truth, predicted) -> value`` on observed rows; see `score` for the shapes.
    """

    name: str
    kinds: tuple[Kind, ...]
    maximise: bool
    label: str
    compute: Score


def score(metric: str, spec: TargetSpec, truth: np.ndarray, predicted: np.ndarray) -> float:
    """One metric on the observed rows; NaN where it is not defined (one class only, no rows).

    Args:
        truth: ``(N,)`` class indices (-1: unobserved), 0/1 or numbers (NaN: unobserved), or
            ``(N, width)`` 0/1 for multilabel.
        predicted: ``(N, width)`` probabilities, or numbers in the target's unit.
    """
    known = observed(spec, truth)
    if not known.any():
        return math.nan
    right, given = truth[known], predicted[known]
    if spec.kind == "multiclass":
        right = right.astype(int)
    elif spec.kind == "binary":
        right = right.astype(int)
        given = np.column_stack([1 - given[:, 0], given[:, 0]])
    elif spec.kind == "regression":
        given = given[:, 0]
    return METRICS[metric].compute(right, given)


def score_all(spec: TargetSpec, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Every metric that fits the target, by name."""
    fits = [name for name, metric in METRICS.items() if spec.kind in metric.kinds]
    return {name: score(name, spec, truth, predicted) for name in fits}


def observed(spec: TargetSpec, truth: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: rows whose label is known."""
    if spec.kind == "multiclass":
        return np.asarray(truth >= 0)
    known = ~np.isnan(truth)
    return known if known.ndim == 1 else np.asarray(known.all(axis=1))


def default_metric(kind: Kind) -> str:
    """The usual metric of a target kind."""
    return {
        "binary": "auroc",
        "multiclass": "balanced_accuracy",
        "multilabel": "average_precision",
        "regression": "rmse",
    }[kind]


def resolve_metric(name: str, kind: Kind) -> Metric:
    """A metric by name.

    Raises:
        ConfigError: there is none of that name, or it does not fit the target.
    """
    fits = [metric.name for metric in METRICS.values() if kind in metric.kinds]
    if name not in METRICS:
        raise ConfigError(unknown("metric", name, fits, source="--metric"))
    if name not in fits:
        raise ConfigError(
            f"a metric must fit the primary target, {name!r} does not fit a {kind} one; use one of "
            f"{', '.join(fits)}"
        )
    return METRICS[name]


# ------------------------------------------------------------------------------- classification


def decide(given: np.ndarray, multilabel: bool) -> np.ndarray:
    """Probabilities -> class indices ``(N,)``, or 0/1 ``(N, width)`` for multilabel."""
    return (given > 0.5).astype(int) if multilabel else given.argmax(axis=1)


def _accuracy(truth: np.ndarray, given: np.ndarray) -> float:
    return float((decide(given, truth.ndim == 2) == truth).mean())


def _balanced_accuracy(truth: np.ndarray, given: np.ndarray) -> float:
    width = given.shape[1]
    hit = np.bincount(truth[decide(given, False) == truth], minlength=width)
    seen = np.bincount(truth, minlength=width)
    return float((hit[seen > 0] / seen[seen > 0]).mean())


def _macro(name: str) -> Score:
    """As scikit-learn has it: without classes that neither occur nor are said, 0 if undefined."""

    def compute(truth: np.ndarray, given: np.ndarray) -> float:
        guess = decide(given, truth.ndim == 2)
        if truth.ndim == 2:
            right, said = truth > 0.5, guess > 0
        else:
            names = np.arange(given.shape[1])
            right, said = truth[:, None] == names, guess[:, None] == names
        hit, seen, called = (right & said).sum(0), right.sum(0), said.sum(0)
        below = {"precision": called, "recall": seen, "f1": (seen + called) / 2}[name]
        each = np.divide(hit, below, out=np.zeros(len(hit)), where=below > 0)
        return float(each.mean() if truth.ndim == 2 else each[seen + called > 0].mean())

    return compute


def auroc(truth: np.ndarray, given: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs in the right order, ties count half.

    scikit-learn's figure in a tenth of its time, which counts where it is asked every epoch.

    Args:
        truth: ``(N,)`` bool, both values present.
        given: ``(N,)`` scores.
    """
    order = np.sort(given)
    below = np.searchsorted(order, given[truth], "left")
    upto = np.searchsorted(order, given[truth], "right")
    positive, negative = int(truth.sum()), int((~truth).sum())
    # ranks from 1, the mean where several tie
    ranks = (below + upto + 1) / 2
    return float((ranks.sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(truth: np.ndarray, given: np.ndarray) -> float:
    """The mean precision at each positive's threshold (scikit-learn's step-wise area).

    Args:
        truth: ``(N,)`` bool, a positive at least.
        given: ``(N,)`` scores.
    """
    order = np.argsort(-given, kind="stable")
    scores, hits = given[order], np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each threshold's ties
    precision = hits[last] / (last + 1)
    return float((np.diff(hits[last], prepend=0) * precision).sum() / hits[-1])


def _ranking(measure: Score) -> Score:
    """A metric of each class against the rest, averaged over classes where it is defined."""

    def compute(truth: np.ndarray, given: np.ndarray) -> float:
        if truth.ndim == 1:
            places = [1] if given.shape[1] == 2 else range(given.shape[1])
            pairs = [(truth == place, given[:, place]) for place in places]
        else:
            pairs = [(truth[:, place] > 0.5, given[:, place]) for place in range(truth.shape[1])]
        found = [float(measure(*pair)) for pair in pairs if 0 < pair[0].sum() < len(pair[0])]
        return float(np.mean(found)) if found else math.nan

    return compute


# --------------------------------------------------------------------------------- regression


def _mae(truth: np.ndarray, given: np.ndarray) -> float:
    return float(np.abs(truth - given).mean())


def _rmse(truth: np.ndarray, given: np.ndarray) -> float:
    return float(np.sqrt(((truth - given) ** 2).mean()))


def _r2(truth: np.ndarray, given: np.ndarray) -> float:
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - given) ** 2).sum() / spread) if spread > 0 else math.nan


_ONE: tuple[Kind, ...] = ("binary", "multiclass")
_ANY: tuple[Kind, ...] = ("binary", "multiclass", "multilabel")
_NUMBER: tuple[Kind, ...] = ("regression",)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", _ANY, True, "accuracy", _accuracy),
            Metric("balanced_accuracy", _ONE, True, "balanced accuracy", _balanced_accuracy),
            Metric("precision", _ANY, True, "precision (macro)", _macro("precision")),
            Metric("recall", _ANY, True, "recall (macro)", _macro("recall")),
            Metric("f1", _ANY, True, "F1 (macro)", _macro("f1")),
            Metric("auroc", _ANY, True, "AUROC", _ranking(auroc)),
            Metric(
                "average_precision", _ANY, True, "average precision",
                _ranking(average_precision),
            ),
            Metric("mae", _NUMBER, False, "mean absolute error", _mae),
            Metric("rmse", _NUMBER, False, "root mean squared error", _rmse),
            Metric("r2", _NUMBER, True, "R²", _r2),
        )
    }
)  # fmt: skip
