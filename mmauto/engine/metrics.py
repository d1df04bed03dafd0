"""Metrics by target kind: numpy for those needed each epoch, scikit-learn for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmauto.contracts import Kind, TargetSpec
from mmauto.errors import ConfigError, unknown


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    kinds: tuple[Kind, ...]
    maximise: bool
    label: str


_CLASSES: tuple[Kind, ...] = ("binary", "multiclass")
_LABELS: tuple[Kind, ...] = ("binary", "multiclass", "multilabel")
METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric("accuracy", _LABELS, True, "accuracy"),
        Metric("balanced_accuracy", _CLASSES, True, "balanced accuracy"),
        Metric("auroc", _LABELS, True, "AUROC"),
        Metric("average_precision", _LABELS, True, "average precision"),
        Metric("mae", ("regression",), False, "mean absolute error"),
        Metric("rmse", ("regression",), False, "root mean squared error"),
        Metric("r2", ("regression",), True, "R²"),
    )
}


def default_metric(kind: Kind) -> str:
    return {
        "binary": "auroc",
        "multiclass": "balanced_accuracy",
        "multilabel": "average_precision",
        "regression": "rmse",
    }[kind]


def resolve_metric(name: str, kind: Kind) -> Metric:
    if name not in METRICS:
        raise ConfigError(unknown("metric", name, METRICS, source="--metric"))
    if kind not in METRICS[name].kinds:
        raise ConfigError(f"metric {name} does not fit {kind}")
    return METRICS[name]


def score(metric: str, spec: TargetSpec, truth: np.ndarray, predicted: np.ndarray) -> float:
    if spec.kind == "multiclass":
        known = truth >= 0
        truth, predicted = truth[known], predicted[known]
        guess = predicted.argmax(1)
    else:
        known = ~np.isnan(truth)
        truth, predicted = truth[known], predicted[known]
        guess = (predicted[:, 0] > 0.5).astype(int)
    if metric == "accuracy":
        return float((guess == truth).mean())
    if metric == "balanced_accuracy":
        return float(np.mean([(guess[truth == c] == c).mean() for c in np.unique(truth)]))
    if metric == "rmse":
        return float(np.sqrt(np.mean((predicted[:, 0] - truth) ** 2)))
    if metric == "mae":
        return float(np.mean(np.abs(predicted[:, 0] - truth)))
    from sklearn import metrics

    if metric == "auroc":
        return float(metrics.roc_auc_score(truth, predicted[:, 0]))
    return float(metrics.r2_score(truth, predicted[:, 0]))


def score_all(spec: TargetSpec, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {m: score(m, spec, truth, predicted) for m, x in METRICS.items() if spec.kind in x.kinds}
