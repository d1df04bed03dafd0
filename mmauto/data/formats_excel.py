"""Excel workbooks: the first sheet as a table."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from mmauto.data.formats_read import Read, check_names, dated, no_table, not_installed

EXACT = 2**53
"""Up to here a float holds whole numbers exactly."""


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
        with warnings.catch_warnings():
            # openpyxl warns of styles and input rules that it leaves out, which are no data
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            titles = [sheet.title for sheet in book.worksheets]
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write wrong ones, and rows would be cut off
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
            book.close()
    except OSError:
        raise
    except Exception as error:  # openpyxl raises whatever a broken file leads it to
        raise no_table(path, error) from None
    header, *body = _table(rows) or [[]]
    names = [
        f"Unnamed: {place}" if name is None else str(name).strip()
        for place, name in enumerate(header)
    ]
    check_names(path, names)
    columns = [dated([_value(row[place]) for row in body]) for place in range(len(names))]
    rest = f"{path.name} has {len(titles)} sheets, only the first ({titles[0]!r}) is read"
    return Read(dict(zip(names, columns, strict=True)), (rest,) if len(titles) > 1 else ())


def _table(rows: list[list[Any]]) -> list[list[Any]]:
    """The rows from the first to the last that hold something, cut and filled to one width."""
    full = [place for place, row in enumerate(rows) if any(map(_known, row))]
    places = [place for row in rows for place, value in enumerate(row) if _known(value)]
    if not full:
        return []
    first, end = min(places), max(places) + 1
    return [(row + [None] * end)[first:end] for row in rows[full[0] : full[-1] + 1]]


def _known(value: object) -> bool:
    return value is not None and value != ""


def _value(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT
    return int(value) if whole else value
