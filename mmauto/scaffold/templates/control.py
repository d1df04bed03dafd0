"""Ridge regression in closed form, for every kind of target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmauto.plugin import Control, Float, Params, Space, State, TargetSpec, TaskView


class ScaffoldNameControl(Control):
    """One linear map from the standardised features to all columns of a target.

    Classes are columns of 0 and 1; what is predicted for them is cut to 0 ... 1.
    """

    name = "scaffold_name"
    summary = "ridge regression on class indicators, in closed form"
    reference = "Hastie, Tibshirani and Friedman 2009, Elements of Statistical Learning, 4.2"

    def space(self, task: TaskView) -> Space:
        """The penalty, a row of data as its unit."""
        return {"penalty": Float(0.1, 1000.0, 10.0, log=True)}

    def fit(
        self,
        features: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
        specs: Mapping[str, TargetSpec],
        params: Params,
        seed: int,
    ) -> State:
        """Each modality's ``mean/KEY`` and ``scale/KEY`` (D,), and a target's ``weights/PLACE``.

        A target's name is a user's column, and may be no file's name: its place stands for it.
        """
        state: dict[str, Any] = {}
        for key, values in features.items():
            state[f"mean/{key}"], state[f"scale/{key}"] = _statistics(values)
        x = _matrix(features, state)
        for place, (name, spec) in enumerate(specs.items()):
            wanted, known = _columns(np.asarray(targets[name], dtype=float), spec)
            state[f"weights/{place}"] = _solve(x[known], wanted[known], float(params["penalty"]))
        return state

    def predict(
        self, features: Mapping[str, np.ndarray], state: State, specs: Mapping[str, TargetSpec]
    ) -> Mapping[str, np.ndarray]:
        """Target -> (N, width): probabilities, or numbers in the target's own unit."""
        x, found = _matrix(features, state), {}
        for place, (name, spec) in enumerate(specs.items()):
            values = x @ np.asarray(state[f"weights/{place}"])
            if spec.kind != "regression":
                values = values.clip(1e-6, 1.0)
            if spec.kind == "multiclass":
                values = values / values.sum(1, keepdims=True)
            found[name] = values
        return found


def _statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (D,) of what is known; 0 and 1 where nothing is."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
    return mean, np.where(deviation > 0, deviation, 1.0)


def _matrix(features: Mapping[str, np.ndarray], state: State) -> np.ndarray:
    """(N, sum of D + 1): standardised, the mean where a value is missing, and a column of ones."""
    blocks = []
    # in sorted order, the order of the modalities in the dict changes nothing
    for key in sorted(features):
        scaled = (features[key] - np.asarray(state[f"mean/{key}"])) / state[f"scale/{key}"]
        blocks.append(np.nan_to_num(scaled))
    return np.concatenate([*blocks, np.ones((len(blocks[0]), 1))], axis=1)


def _columns(values: np.ndarray, spec: TargetSpec) -> tuple[np.ndarray, np.ndarray]:
    """What to predict (N, width), and which rows have a label (N,)."""
    if spec.kind == "multiclass":
        return np.eye(spec.width)[np.where(values >= 0, values, 0).astype(int)], values >= 0
    columns = values.reshape(len(values), -1)
    return columns, np.isfinite(columns).all(1)


def _solve(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """(D, width); the column of ones, which is last, is not penalised."""
    shrink = penalty * np.eye(x.shape[1])
    shrink[-1, -1] = 1e-9
    return np.linalg.solve(x.T @ x + shrink, x.T @ y)
