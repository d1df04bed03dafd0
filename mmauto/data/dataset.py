"""A data set as read: columns, targets and what is known of its rows; nothing fitted yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mmauto.values import Column, Kind


@dataclass(frozen=True)
class TargetColumn:
    """The labels of one target, as read.

    Attributes:
        values: ``(N,)`` strings (binary, multiclass), floats (regression), or ``(N, width)`` 0/1
            floats (multilabel); ``None`` or NaN where a label is missing.
        classes: the class order where the task declares it; empty: the train rows decide, sorted.
        metric: the metric of this target; empty: the usual one of its kind.
    """

    name: str
    kind: Kind
    values: np.ndarray
    classes: tuple[str, ...] = ()
    metric: str = ""


@dataclass(frozen=True)
class Dataset:
    """Rows of several modalities with their targets. Picklable, so that executors can get it.

    Attributes:
        columns: key -> column; all of length N.
        targets: by name, the primary one first.
        ids: ``(N,)`` strings, unique.
        groups: ``(N,)`` strings; rows of one group never stand on two sides of a split.
        split: ``(N,)`` of ``train``, ``valid``, ``test`` where the split is given.
        ideal: for simulated data, observer (a modality, or ``all``) -> ``(N, width)`` scores of
            the primary target that are best possible for its metric.
        simulated: say so wherever results show.
        notes: sentences about the data that the user must see.
        licence: of the data, where known.
    """

    name: str
    columns: Mapping[str, Column]
    targets: Mapping[str, TargetColumn]
    ids: np.ndarray
    groups: np.ndarray | None = None
    split: np.ndarray | None = None
    ideal: Mapping[str, np.ndarray] = field(default_factory=dict)
    simulated: bool = False
    notes: tuple[str, ...] = ()
    licence: str = ""

    def __len__(self) -> int:
        return len(self.ids)
