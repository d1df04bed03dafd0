"""Logistic regression (ridge for numbers) on the concatenated features: the linear control."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmauto.plugin import Choice, Control, Float, Params, Space, State, TargetSpec, TaskView
from mmauto_controls.parts import fit_parts, predict_parts


class Logistic(Control):
    """Linear in the standardised features; a missing value counts as the mean, with a flag a
    modality for a missing sample."""

    name = "logistic"
    summary = "logistic or ridge regression on the standardised features of all modalities"
    reference = "Cox 1958, J. Royal Statistical Society B; scikit-learn LogisticRegression, Ridge"

    def space(self, task: TaskView) -> Space:
        """The inverse of the penalty, and class weights."""
        return {
            "c": Float(1e-5, 1.0, 3e-3, log=True),
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
        """Train statistics of each modality as arrays, and an estimator a part of a target."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge

        state: dict[str, Any] = {}
        for key, values in features.items():
            state[f"mean/{key}"], state[f"scale/{key}"] = statistics(values)

        def fit(x: np.ndarray, labels: np.ndarray, classes: bool) -> Any:
            if not classes:
                return Ridge(alpha=1.0 / float(params["c"])).fit(x, labels)
            weight = "balanced" if params["balanced"] else None
            model = LogisticRegression(C=params["c"], class_weight=weight, max_iter=200)
            return model.fit(x, labels)

        with warnings.catch_warnings():
            # 200 steps are the budget; a weak penalty may want more, and validation decides on it
            warnings.simplefilter("ignore", ConvergenceWarning)
            return {**state, **fit_parts(_matrix(features, state), targets, specs, fit)}

    def predict(
        self, features: Mapping[str, np.ndarray], state: State, specs: Mapping[str, TargetSpec]
    ) -> Mapping[str, np.ndarray]:
        """Target -> (N, width)."""
        return predict_parts(_matrix(features, state), state, specs)


def statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale (D,) over known values; a rare feature's scale is drawn to the others'.

    Dividing an almost constant feature by its own deviation alone would make it dominate.
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    variance = (np.where(known, values - mean, 0.0) ** 2).sum(0) / count
    scale = np.sqrt(0.5 * variance + 0.5 * variance.mean())
    return mean, np.where(scale > 0, scale, 1.0)


def _matrix(features: Mapping[str, np.ndarray], state: State) -> np.ndarray:
    """(N, sum of D + modalities)."""
    blocks = []
    for key, values in sorted(features.items()):
        known = np.isfinite(values)
        scaled = (values.astype(np.float64) - state[f"mean/{key}"]) / state[f"scale/{key}"]
        blocks.append(np.where(known, scaled, 0.0))
        blocks.append(~known.any(1, keepdims=True))
    return np.concatenate(blocks, axis=1)
