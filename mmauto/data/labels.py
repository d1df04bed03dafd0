"""What kind of target a column of labels is.

In this order:

* lists, or text with ``|`` in it: multilabel (``|`` alone is a row with no label set);
* two distinct values: binary;
* text that is no number, and booleans: multiclass;
* whole numbers, at most 20 distinct ones and five rows or more a value on average: multiclass;
* other numbers: regression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mmauto.data.cells import WHOLE, Cell, numbers, stripped, words
from mmauto.data.dataset import TargetColumn
from mmauto.errors import DataError
from mmauto.values import Kind

MOST_WHOLE_CLASSES = 20
ROWS_A_WHOLE_CLASS = 5


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in a stable order: by value where all are numbers, else by name."""
    distinct = sorted(set(names))
    values = numbers(distinct)
    if np.isnan(values).any():
        return tuple(distinct)
    return tuple(name for _, name in sorted(zip(values.tolist(), distinct, strict=True)))


def observed(target: TargetColumn) -> np.ndarray:
    """``(N,)`` bool, False where the label is missing."""
    if target.kind in ("binary", "multiclass"):
        return np.array([value is not None for value in target.values], dtype=bool)
    unknown = np.isnan(target.values.reshape(len(target.values), -1))  # (N, width)
    return np.asarray(~unknown.any(axis=1))


def read_target(
    name: str, cells: Sequence[Cell], where: str, metric: str = "", separator: str = ""
) -> tuple[TargetColumn, list[str]]:
    """A target from its cells, with notes on what was guessed.

    Args:
        where: the table, for messages.
        separator: between the labels of one cell; a target is multilabel where a cell holds it;
            default ``|``.

    Raises:
        DataError: no label at all, one value only, or hardly any value twice.
    """
    what = f"target {name!r} of {where}"
    if all(cell is None for cell in cells):
        raise DataError(f"a target needs labels, {what} has none; fill it or name another column")
    mark = separator or "|"
    if any(isinstance(cell, tuple) or mark in cell for cell in cells if cell is not None):
        return _multilabel(name, cells, what, metric, mark), []
    labels = stripped(words(cells, what))
    values = numbers(labels)
    numeric = all(value is None or not np.isnan(x) for value, x in zip(labels, values, strict=True))
    notes: list[str] = []
    if numeric:
        infinite = np.isinf(values)
        if infinite.any():
            notes.append(f"target {name!r}: infinite numbers count as missing ({infinite.sum()})")
            values = np.where(infinite, np.nan, values)
            labels = [None if odd else v for v, odd in zip(labels, infinite, strict=True)]
    kind = _number_kind(labels, values) if numeric else _word_kind(labels)
    _refuse_useless(labels, kind, numeric, what)
    if kind == "regression":
        return TargetColumn(name, kind, values, metric=metric), notes + _whole_note(name, labels)
    if kind == "multiclass" and numeric:
        count = len({label for label in labels if label is not None})
        notes.append(
            f"target {name!r}: its {count} distinct whole numbers are read as classes; "
            "write them with a decimal point to predict a number"
        )
    chosen = _whole_names(labels, values) if numeric else labels
    return TargetColumn(name, kind, np.array(chosen, dtype=object), metric=metric), notes


def _number_kind(labels: Sequence[str | None], values: np.ndarray) -> Kind:
    known = values[~np.isnan(values)]
    distinct = len(np.unique(known))
    if distinct == 2:
        return "binary"
    whole = all(WHOLE.fullmatch(label) for label in labels if label is not None)
    few = distinct <= MOST_WHOLE_CLASSES and len(known) >= ROWS_A_WHOLE_CLASS * distinct
    return "multiclass" if whole and few else "regression"


def _word_kind(labels: Sequence[str | None]) -> Kind:
    return "binary" if len({label for label in labels if label is not None}) == 2 else "multiclass"


def _refuse_useless(labels: Sequence[str | None], kind: Kind, numeric: bool, what: str) -> None:
    known = [label for label in labels if label is not None]
    distinct = set(known)
    if len(distinct) < 2:
        shown = repr(known[0]) if known else "only infinite numbers"
        raise DataError(
            f"a target needs at least two classes or values, {what} has one ({shown}); "
            "add rows of another class or name another column"
        )
    if kind == "multiclass" and len(distinct) > len(known) / 2:
        odd = next((v for v in known if np.isnan(numbers([v])[0])), known[0])
        raise DataError(
            f"the classes of a target must repeat, {what} has {len(distinct)} distinct values in "
            f"{len(known)} rows (e.g. {odd!r}); name a column of classes, or of numbers only"
        )


def _whole_note(name: str, labels: Sequence[str | None]) -> list[str]:
    if not all(WHOLE.fullmatch(label) for label in labels if label is not None):
        return []
    return [
        f"target {name!r}: its whole numbers are read as a quantity; "
        "write them as words (e.g. 'grade 3') to predict classes"
    ]


def _whole_names(labels: Sequence[str | None], values: np.ndarray) -> list[str | None]:
    # a 0/1 column with gaps is often written as 0.0 and 1.0: its classes are still 0 and 1
    known = values[~np.isnan(values)]
    if all(WHOLE.fullmatch(v) for v in labels if v is not None) or (known % 1).any():
        return list(labels)
    return [None if np.isnan(value) else str(int(value)) for value in values]


def _multilabel(
    name: str, cells: Sequence[Cell], what: str, metric: str, separator: str
) -> TargetColumn:
    rows = [cell_labels(cell, separator) for cell in cells]
    classes = sorted_classes(label for row in rows if row is not None for label in row)
    if len(classes) < 2:
        raise DataError(
            f"a multilabel target needs at least two labels, {what} has {len(classes)}; "
            "add rows with other labels or name another column"
        )
    index = {label: position for position, label in enumerate(classes)}
    values = np.zeros((len(rows), len(classes)))
    for row, found in enumerate(rows):
        if found is None:
            values[row] = np.nan
        else:
            values[row, [index[label] for label in found]] = 1.0
    return TargetColumn(name, "multilabel", values, classes, metric)


def cell_labels(cell: Cell, separator: str) -> list[str] | None:
    """The labels of one cell of a multilabel target; None where it is missing."""
    if cell is None:
        return None
    parts = cell if isinstance(cell, tuple) else [part.strip() for part in cell.split(separator)]
    return [part for part in parts if part]
