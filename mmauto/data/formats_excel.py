"""Excel workbooks: the first sheet as a table."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

from mmauto.data.formats_read import (
    Read,
    check_names,
    check_size,
    dated,
    no_table,
    not_installed,
)
from mmauto.errors import DataError

EXACT = 2**53
"""Up to here a float holds whole numbers exactly."""

MOST_BYTES = 1_000_000_000
"""A larger workbook, unpacked, is taken for a decompression bomb."""

MOST_ROWS = 2**20
"""A sheet of Excel has no more; a file may claim any number."""


def read_excel(path: Path) -> Read:
    """The first sheet of a workbook, with the values that its formulas had when it was saved.

    Empty rows and columns around the table are dropped; a column without a name is called as pandas
    calls it in CSV.

    Raises:
        DataError: openpyxl is not installed, or it is no workbook with a table.
        OSError: it cannot be opened.
    """
    try:
        import openpyxl
    except ImportError:
        raise not_installed("Excel", path, "openpyxl", "excel") from None
    try:
        _check_bytes(path)
        # a file that openpyxl opens by itself stays open where it gives up
        with warnings.catch_warnings(), path.open("rb") as file:
            # openpyxl warns of styles and input rules that it leaves out, which are no data
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            titles = [sheet.title for sheet in book.worksheets]
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write wrong ones, and rows would be cut off
            rows = _rows(path, sheet)
    except (OSError, DataError):
        raise
    except Exception as error:  # openpyxl raises whatever a broken file leads it to
        raise no_table(path, error) from None
    header, *body = _table(rows, path) or [[]]
    names = [
        f"Unnamed: {place}" if name is None else str(name).strip()
        for place, name in enumerate(header)
    ]
    check_names(path, names)
    columns = [dated([_value(row[place]) for row in body]) for place in range(len(names))]
    rest = f"{path.name} has {len(titles)} sheets, only the first ({titles[0]!r}) is read"
    return Read(dict(zip(names, columns, strict=True)), (rest,) if len(titles) > 1 else ())


def _check_bytes(path: Path) -> None:
    """Refuse a workbook whose parts would not fit into memory."""
    with zipfile.ZipFile(path) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > MOST_BYTES:
        raise no_table(
            path, f"{size:,} bytes unpacked, {MOST_BYTES:,} at most: save it as CSV or Parquet"
        )


def _rows(path: Path, sheet: Any) -> list[list[Any]]:
    """The sheet's rows; it fills the gaps in them, so that a single far cell makes a long one."""
    rows: list[list[Any]] = []
    total = filled = 0
    for row in sheet.iter_rows(max_row=MOST_ROWS, values_only=True):
        rows.append(list(row))
        total += len(row)
        filled += sum(map(_known, row))
        check_size(path, 1, total, filled)
    return rows


def _table(rows: list[list[Any]], path: Path) -> list[list[Any]]:
    """The rows from the first to the last that hold something, cut and filled to one width."""
    full = [place for place, row in enumerate(rows) if any(map(_known, row))]
    places = [place for row in rows for place, value in enumerate(row) if _known(value)]
    if not full:
        return []
    first, end = min(places), max(places) + 1
    check_size(path, len(rows), end, len(places))
    return [(row + [None] * end)[first:end] for row in rows[full[0] : full[-1] + 1]]


def _known(value: object) -> bool:
    return value is not None and value != ""


def _value(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT
    return int(value) if whole else value
