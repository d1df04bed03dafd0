"""Columns that mark rows: ids, groups, and the side of a given split."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mmauto.data.cells import stripped, words
from mmauto.data.formats import RawTable
from mmauto.errors import DataError
from mmauto.findings import Finding

SPLITS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}
"""What a split column may say, in any case -> the side."""


def _mark(table: RawTable, name: str, keep: np.ndarray) -> list[str | None]:
    cells = stripped(words(table.cells(name), f"column {name!r} of {table.path}"))
    return [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]


def ids_of(
    table: RawTable, name: str | None, asked: bool, keep: np.ndarray, findings: list[Finding]
) -> np.ndarray:
    """``(N,)`` unique names of the kept rows: a column's, or numbers from 1.

    Args:
        asked: the column was named by the user, so that it must do.

    Raises:
        DataError: a column that was asked for repeats itself or has gaps.
    """
    if name is not None:
        ids = _mark(table, name, keep)
        lacks = ids.count(None)
        value, count = Counter(ids).most_common(1)[0]
        if not lacks and count == 1:
            return np.array(ids, dtype=object)
        odd = f"{lacks} are missing" if lacks else f"{value!r} stands {count} times"
        if asked:
            raise DataError(
                f"row ids are unique and never missing, in column {name!r} of {table.path} {odd}; "
                "mend them, or name no id column to have rows numbered"
            )
        text = f"column {name!r} is not used as row id, since {odd}"
        findings.append(Finding("duplicate_ids", text, "rows are numbered"))
    return np.array([str(row + 1) for row in np.flatnonzero(keep)], dtype=object)


def groups_of(
    table: RawTable, name: str, keep: np.ndarray, ids: np.ndarray, notes: list[str]
) -> np.ndarray:
    """``(N,)`` groups of the kept rows; a row without one is a group of its own."""
    groups = _mark(table, name, keep)
    lacks = groups.count(None)
    if lacks:
        notes.append(f"rows without a group in {name!r}, each a group of its own: {lacks}")
    own = [f"row {row}" if group is None else group for row, group in zip(ids, groups, strict=True)]
    return np.array(own, dtype=object)


def split_of(table: RawTable, name: str, keep: np.ndarray) -> np.ndarray:
    """``(N,)`` train, valid or test of the kept rows.

    Raises:
        DataError: a cell says anything else.
    """
    given = _mark(table, name, keep)
    sides = [SPLITS.get((value or "").lower()) for value in given]
    odd = Counter(value or "(empty)" for value, s in zip(given, sides, strict=True) if s is None)
    if odd:
        counts = ", ".join(f"{value!r} {count}×" for value, count in odd.most_common(3))
        raise DataError(
            f"a split column says train, valid (val, validation, dev) or test, {name!r} of "
            f"{table.path} says {counts}; mend it, or name no split column (an empty name)"
        )
    return np.array(sides, dtype=object)
