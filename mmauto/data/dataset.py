"""A data set as read: columns, targets and what is known of its rows; nothing fitted yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mmauto.data.columns import DOMAIN
from mmauto.errors import DataError
from mmauto.findings import Finding, RoleGuess
from mmauto.values import Column, Kind

if TYPE_CHECKING:
    from mmauto.data.looks import Look


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
        findings: what reading the data has found out.
        roles: of the columns of a user's table.
        sources: key -> the table's columns that it was made of; a key that is not there was made
            of the column of the same name (tabular: of its fields).
        foldered: the classes are folders, so that file names tell them by construction.
        looks: image key -> ``(N,)`` what `mmauto.data.looks` saw in each picture.
        licence: of the data, where known.
        subgroups: column -> ``(N,)`` its cells, text or None, of columns by which answers are
            broken down.
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
    findings: tuple[Finding, ...] = ()
    roles: tuple[RoleGuess, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    looks: Mapping[str, Sequence[Look | None]] = field(default_factory=dict)
    foldered: bool = False
    licence: str = ""
    subgroups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def source(self, key: str) -> tuple[str, ...]:
        """The columns of a table that hold this modality."""
        return self.sources.get(key) or tuple(self.columns[key].fields) or (key,)

    def take(self, rows: np.ndarray) -> Dataset:
        """The same data with only ``rows``, in that order."""
        return replace(
            self,
            columns={key: column.take(rows) for key, column in self.columns.items()},
            targets={k: replace(t, values=t.values[rows]) for k, t in self.targets.items()},
            ids=self.ids[rows],
            groups=None if self.groups is None else self.groups[rows],
            split=None if self.split is None else self.split[rows],
            ideal={observer: scores[rows] for observer, scores in self.ideal.items()},
            looks={key: [looks[int(row)] for row in rows] for key, looks in self.looks.items()},
            subgroups={name: cells[rows] for name, cells in self.subgroups.items()},
        )


def without_empty_rows(data: Dataset) -> Dataset:
    """The data without rows whose only inputs were pictures that cannot be used.

    Raises:
        DataError: a row has no input at all in the table itself.
    """
    some = with_input(data.columns)
    if some.all():
        return data
    empty = np.flatnonzero(~some)
    broken = [any(looks[int(row)] is not None for looks in data.looks.values()) for row in empty]
    if not all(broken):
        odd = [str(data.ids[row]) for row, bad in zip(empty, broken, strict=True) if not bad]
        raise DataError(
            f"every row needs at least one input, {len(odd)} of {len(data)} rows of "
            f"{data.name!r} have none (row {_some(odd)}); fill a cell of each, or delete the rows"
        )
    named = _some([str(data.ids[row]) for row in empty])
    text = f"{len(empty)} rows have nothing but a picture that cannot be used (row {named})"
    found = Finding("empty_rows", text, "left out", warning=True)
    return replace(data.take(np.flatnonzero(some)), findings=(*data.findings, found))


def with_input(columns: Mapping[str, Column]) -> np.ndarray:
    """``(N,)`` bool: rows in which some modality is there."""
    inputs = [column.present for column in columns.values() if column.modality != DOMAIN]
    return np.asarray(np.logical_or.reduce(inputs))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
