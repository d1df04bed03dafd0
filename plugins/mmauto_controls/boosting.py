"""Gradient boosting on the concatenated features: the strongest control that is not a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmauto.plugin import Choice, Control, Float, Params, Space, State, TargetSpec, TaskView
from mmauto_controls.parts import fit_parts, predict_parts

WIDE = 64
"""A modality with more features is reduced first: trees search every feature at every split."""

BINS = 63
ENOUGH = 10
"""Labels that each class needs before a tenth of the rows can be held out to stop early, and known
values that a column needs to survive that."""


class Boosting(Control):
    """Histogram gradient boosting; a wide modality is reduced to its principal components first.

    A missing value or sample stays NaN, which the trees read natively.
    """

    name = "boosting"
    summary = "gradient boosting on the features of all modalities, wide ones reduced by PCA"
    reference = "Friedman 2001, Annals of Statistics; scikit-learn HistGradientBoosting"

    def space(self, task: TaskView) -> Space:
        """Components a wide modality, and the usual parameters of boosting."""
        return {
            "components": Choice((16, 32, 64), 32),
            "learning_rate": Float(0.03, 0.3, 0.1, log=True),
            "max_leaf_nodes": Choice((7, 15, 31), 15),
            "max_iter": Choice((100, 200)),
            "l2_regularization": Float(1e-3, 10.0, 0.1, log=True),
            "balanced": Choice((False, True), task.metric == "balanced_accuracy"),
        }

    def fit(
        self,
        features: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
        specs: Mapping[str, TargetSpec],
        params: Params,
        seed: int,
    ) -> State:
        """Principal axes of wide modalities as arrays, and an estimator a part of a target."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        state: dict[str, Any] = {}
        for key, values in sorted(features.items()):
            if values.shape[1] > WIDE:
                mean, axes = principal_axes(values, int(params["components"]), seed)
                state |= {f"mean/{key}": mean, f"axes/{key}": axes}

        def fit(x: np.ndarray, labels: np.ndarray, classes: bool) -> Any:
            # a column that is NaN in all rows cannot be binned; so few values are never split on
            x = np.where(np.isfinite(x).sum(0) >= ENOUGH, x, 0.0)
            fewest = np.unique(labels, return_counts=True)[1].min() if classes else len(labels)
            options = {
                "learning_rate": params["learning_rate"],
                "max_leaf_nodes": params["max_leaf_nodes"],
                "max_iter": params["max_iter"],
                "l2_regularization": params["l2_regularization"],
                "max_bins": BINS,
                "early_stopping": bool(fewest >= ENOUGH),
                "random_state": seed,
            }
            if not classes:
                return HistGradientBoostingRegressor(**options).fit(x, labels)
            weight = "balanced" if params["balanced"] else None
            return HistGradientBoostingClassifier(class_weight=weight, **options).fit(x, labels)

        return {**state, **fit_parts(_matrix(features, state), targets, specs, fit)}

    def predict(
        self, features: Mapping[str, np.ndarray], state: State, specs: Mapping[str, TargetSpec]
    ) -> Mapping[str, np.ndarray]:
        """Target -> (N, width)."""
        return predict_parts(_matrix(features, state), state, specs)


def principal_axes(values: np.ndarray, components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and the principal axes (K, D) of the rows that are there.

    A missing value takes its column's mean. With fewer than two rows there is one axis, of zeros.
    """
    from sklearn.utils.extmath import randomized_svd

    there = values[np.isfinite(values).any(axis=1)].astype(np.float64)
    known = np.isfinite(there)
    mean = np.where(known, there, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    count = min(components, len(there) - 1, there.shape[1])
    if count < 1:
        return mean, np.zeros((1, there.shape[1]))
    centred = np.where(known, there - mean, 0.0)
    return mean, randomized_svd(centred, count, random_state=seed)[2]


def _matrix(features: Mapping[str, np.ndarray], state: State) -> np.ndarray:
    """(N, sum of D): wide modalities along their axes, a missing sample stays NaN."""
    blocks = []
    for key, values in sorted(features.items()):
        block = values.astype(np.float64)
        if f"axes/{key}" in state:
            known = np.isfinite(block)
            centred = np.where(known, block - state[f"mean/{key}"], 0.0)
            block = np.where(known.any(1, keepdims=True), centred @ state[f"axes/{key}"].T, np.nan)
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
