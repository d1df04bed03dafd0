"""What a cell of a table means: missing, text, a number, or a list of labels.

The rules are the same for every format, so a table gives the same data set as CSV, JSON lines or
Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from mmauto.errors import DataError

Cell: TypeAlias = str | tuple[str, ...] | None

MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""The words that pandas reads as missing (`pandas.read_csv`, ``keep_default_na``)."""

HALF = re.compile("[\ud800-\udfff]")
"""Surrogates that stand alone: JSON can write them, and file names that are not UTF-8 have them."""

WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
NUMBER = re.compile(
    # a run of digits can be read in one way only: a cell of millions of them takes no time
    r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|infinity)",
    re.ASCII | re.IGNORECASE,
)


def clean(value: Any) -> Cell:
    """A value as a reader gave it -> text, a tuple of labels, or None where it is missing.

    Numbers keep the way they are written (3 and 3.0 differ), booleans are ``True`` and ``False``.

    Raises:
        DataError: it is an object, bytes, or another thing that no cell may hold.
    """
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(str(clean(item)).strip() for item in value if clean(item) is not None)
    if isinstance(value, dict | bytes):
        raise DataError(f"a cell holds text, a number or a list of labels, not {_kind(value)}")
    if value is None or value != value:
        return None
    text = whole(str(value))
    return None if text.strip() in MISSING else text


def whole(text: str) -> str:
    """The same text with U+FFFD for each half of a character, which no file or database takes."""
    return HALF.sub("\N{REPLACEMENT CHARACTER}", text)


def _kind(value: object) -> str:
    return "an object" if isinstance(value, dict) else "bytes"


def words(cells: Iterable[Cell], what: str) -> list[str | None]:
    """Cells of a column that must not hold lists.

    Args:
        what: the column and its table, for the message.

    Raises:
        DataError: a cell is a list.
    """
    found: list[str | None] = []
    for cell in cells:
        if isinstance(cell, tuple):
            raise DataError(f"only a target may hold lists, {what} does; join them into one text")
        found.append(cell)
    return found


def stripped(values: Iterable[str | None]) -> list[str | None]:
    """The same values without white space around them."""
    return [None if value is None else value.strip() for value in values]


def numbers(values: Sequence[str | None]) -> np.ndarray:
    """Values -> ``(N,)`` floats: NaN where one is missing or no number, infinite ones as such.

    A number is plain ASCII with a decimal point: ``1_000``, ``1,5`` and ``0x1f`` are words.
    """
    return np.array(
        [float(v) if v is not None and NUMBER.fullmatch(v) else np.nan for v in values],
        dtype=np.float64,
    )
