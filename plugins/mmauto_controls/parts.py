"""Several targets of several kinds as parts that one scikit-learn estimator each can learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmauto.plugin import State, TargetSpec

Fit = Callable[[np.ndarray, np.ndarray, bool], Any]
"""(x (N, D), labels (N,), classes?) -> a fitted classifier or regressor."""


@dataclass(frozen=True)
class Part:
    """A target, or one label of a multilabel target.

    Attributes:
        key: safe as a file name, which a target's name need not be.
        column: the label's column; None where the target is no multilabel one.
        classes: how many there are; 0 for a number.
    """

    key: str
    target: str
    column: int | None
    classes: int

    def labels(self, targets: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(rows with a label, their labels): integers for classes, floats for numbers."""
        values = np.asarray(targets[self.target], dtype=np.float64)
        if self.column is not None:
            values = values[:, self.column]
        known = np.isfinite(values) & ((values >= 0) | (self.classes == 0))
        rows = np.flatnonzero(known)
        return rows, values[rows].astype(np.int64) if self.classes else values[rows]


def parts(specs: Mapping[str, TargetSpec]) -> Iterator[Part]:
    """The parts of all targets, in order."""
    for number, (name, spec) in enumerate(specs.items()):
        if spec.kind == "multilabel":
            for column in range(spec.width):
                yield Part(f"{number}_{column}", name, column, 2)
        else:
            classes = {"multiclass": spec.width, "binary": 2}.get(spec.kind, 0)
            yield Part(str(number), name, None, classes)


def constant(part: Part, labels: np.ndarray) -> list[float]:
    """Class frequencies (uniform without any label), or the mean (0 without any)."""
    if not part.classes:
        return [float(labels.mean()) if len(labels) else 0.0]
    counts = np.bincount(labels, minlength=part.classes) + (0 if len(labels) else 1)
    return [float(share) for share in counts / counts.sum()]


def assemble(
    specs: Mapping[str, TargetSpec], predicted: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Part key -> (N, classes or 1) to target -> (N, width): of two classes, the second."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    for part in parts(specs):
        values = predicted[part.key]
        whole = specs[part.target].kind in ("multiclass", "regression")
        found[part.target].append(values if whole else values[:, 1:])
    return {name: np.concatenate(values, axis=1) for name, values in found.items()}


def fit_parts(
    x: np.ndarray, targets: Mapping[str, np.ndarray], specs: Mapping[str, TargetSpec], fit: Fit
) -> dict[str, Any]:
    """One estimator a part, ``model_KEY``; ``constants`` for parts with nothing to learn.

    Args:
        x: (N, D).
    """
    state: dict[str, Any] = {}
    constants: dict[str, list[float]] = {}
    for part in parts(specs):
        rows, labels = part.labels(targets)
        if len(np.unique(labels)) < 2:
            constants[part.key] = constant(part, labels)
        else:
            state[f"model_{part.key}"] = fit(x[rows], labels, bool(part.classes))
    return {**state, "constants": constants}


def predict_parts(
    x: np.ndarray, state: State, specs: Mapping[str, TargetSpec]
) -> Mapping[str, np.ndarray]:
    """(N, D) -> target -> (N, width); a class without train rows gets probability 0."""
    predicted = {}
    for part in parts(specs):
        if part.key in state["constants"]:
            predicted[part.key] = np.tile(state["constants"][part.key], (len(x), 1))
            continue
        model = state[f"model_{part.key}"]
        if part.classes:
            values = np.zeros((len(x), part.classes))
            values[:, model.classes_] = model.predict_proba(x)
        else:
            values = model.predict(x).reshape(-1, 1)
        predicted[part.key] = values
    return assemble(specs, predicted)
