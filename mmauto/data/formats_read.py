"""What the reader of a format gives, and how all of them refuse what they cannot read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any, NamedTuple

from mmauto.data.cells import whole
from mmauto.errors import DataError

MOST_CELLS, LEAST_FILLED = 50_000_000, 1 / 100
"""A larger table of which less is filled is refused: its gaps would need gigabytes."""


class Read(NamedTuple):
    """Columns as a format gives them.

    Attributes:
        values: column -> values, in the file's order.
        notes: what had to be guessed or left out.
    """

    values: dict[str, list[Any]]
    notes: tuple[str, ...] = ()


def no_table(path: Path, why: object) -> DataError:
    """The error for a file that is not what its suffix says.

    Args:
        why: the reason; of an error's message only the first line is shown.
    """
    lines = whole(str(why)).strip().splitlines() or [type(why).__name__]
    return DataError(
        f"{path} is not a readable table ({lines[0]}); repair the file or save it again"
    )


def not_installed(what: str, path: Path, library: str, extra: str) -> DataError:
    """The error for a format whose library is missing."""
    return DataError(
        f"reading {what} ({path}) needs {library}, which is not installed; "
        f'run: pip install "mmauto[{extra}]"'
    )


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a header that says a name twice.

    Raises:
        DataError: as said.
    """
    twice = repeated(names)
    if twice:
        raise no_table(path, f"it has two columns named {twice[0]!r}")


def check_size(path: Path, rows: int, columns: int, filled: int) -> None:
    """Refuse a small file that stands for a huge, almost empty table.

    Args:
        filled: cells that the file holds.

    Raises:
        DataError: as said.
    """
    if rows * columns > MOST_CELLS and filled < LEAST_FILLED * rows * columns:
        raise no_table(
            path, f"{rows:,} rows and {columns:,} columns with only {filled:,} cells filled"
        )


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def dated(values: list[Any]) -> list[Any]:
    """The same values with moments as ISO text: without a time where none of them has one.

    This is how pandas writes a column of moments as CSV.
    """
    moments = [value for value in values if isinstance(value, datetime)]
    days = all(value.tzinfo is None and value.time() == time() for value in moments)
    return [
        (str(value.date()) if days else str(value)) if isinstance(value, datetime) else value
        for value in values
    ]
