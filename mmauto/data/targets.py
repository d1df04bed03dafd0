"""Targets as numbers, with class lists from the train rows only."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.labels import observed, sorted_classes
from mmauto.data.splits import Splits
from mmauto.errors import DataError
from mmauto.values import TargetSpec


def encode_targets(
    dataset: Dataset, splits: Splits
) -> tuple[dict[str, TargetSpec], dict[str, np.ndarray], list[str]]:
    """Specs and arrays by target, the primary first, and notes on what could not be kept.

    Returns:
        The specs; the arrays: int64 class indices ``(N,)``, -1 where unobserved or of a class that
        no train row has (multiclass), floats ``(N,)`` with NaN where unobserved (0/1 for binary),
        or 0/1 floats ``(N, width)`` with NaN rows (multilabel); and the notes.

    Raises:
        DataError: the train rows have fewer than two classes or values of a target, or a label is
            none of the classes that the task declares.
    """
    specs: dict[str, TargetSpec] = {}
    arrays: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for name, target in dataset.targets.items():
        _refuse_one_sided(target, splits.train, dataset.name)
        classes = class_names(target, splits.train)
        specs[name] = TargetSpec(name, target.kind, classes)
        if target.kind in ("binary", "multiclass"):
            _refuse_undeclared(target, dataset.name)
            arrays[name] = _indices(target, classes)
            notes.extend(_unseen(target, classes, splits))
        else:
            arrays[name] = np.asarray(target.values, dtype=np.float64)
    return specs, arrays, notes


def _refuse_one_sided(target: TargetColumn, train: np.ndarray, data: str) -> None:
    values = target.values[train][observed(target)[train]]
    distinct = {str(value) for value in values.tolist()}
    if len(distinct) < 2:
        what = next(iter(distinct), "no label at all")
        raise DataError(
            f"the train rows need two classes or values of a target, those of {target.name!r} in "
            f"{data!r} have one ({what}); add train rows of another, or change the split"
        )


def class_names(target: TargetColumn, train: np.ndarray) -> tuple[str, ...]:
    """The declared classes, or those of the train rows, sorted; empty for regression."""
    if target.classes or target.kind == "regression":
        return target.classes
    return sorted_classes(value for value in target.values[train] if value is not None)


def _refuse_undeclared(target: TargetColumn, data: str) -> None:
    if not target.classes:
        return
    odd = sorted({v for v in target.values if v is not None} - set(target.classes))
    if odd:
        raise DataError(
            f"target {target.name!r} of {data!r} has the classes {', '.join(target.classes)}, a "
            f"label says {odd[0]!r}; correct the label or declare the class"
        )


def _indices(target: TargetColumn, classes: tuple[str, ...]) -> np.ndarray:
    index = {name: position for position, name in enumerate(classes)}
    found = np.array([index.get(value, -1) for value in target.values], dtype=np.int64)
    return found if target.kind == "multiclass" else np.where(found < 0, np.nan, found)


def _unseen(target: TargetColumn, classes: tuple[str, ...], splits: Splits) -> list[str]:
    notes = []
    for side in ("valid", "test"):
        values = target.values[getattr(splits, side)]
        odd = Counter(v for v in values if v is not None and v not in classes)
        if odd:
            shown = ", ".join(f"{name!r} {count}×" for name, count in odd.most_common(3))
            notes.append(
                f"target {target.name!r}: {side} rows of classes that no train row has are left "
                f"out of its scores: {odd.total()} ({shown}{' ...' if len(odd) > 3 else ''})"
            )
    return notes
