"""Tables in any form: one file, a folder or a data frame becomes columns of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmauto.data.cells import Cell, clean, whole
from mmauto.data.formats_arrow import is_saved, read_parquet, read_saved
from mmauto.data.formats_excel import read_excel
from mmauto.data.formats_folder import read_folder
from mmauto.data.formats_frame import read_frame
from mmauto.data.formats_read import Read, no_table
from mmauto.data.formats_text import read_csv, read_jsonl
from mmauto.errors import DataError

NAMES = ("data.csv", "data.parquet", "data.jsonl", "data.xlsx")
"""What a folder may hold; the first that is there is read."""

READERS: Mapping[str, Callable[[Path], Read]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".xlsx": read_excel,
}
"""Suffix of a file -> its reader."""


@dataclass(frozen=True)
class RawTable:
    """A table as read.

    Attributes:
        path: the file, or the folder that is itself the table.
        values: column -> values as the format gives them, in the file's order.
        folder: where relative image paths start.
        notes: what had to be guessed or left out while reading.
    """

    path: Path
    values: Mapping[str, list[Any]]
    folder: Path
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), []))

    def cells(self, name: str) -> list[Cell]:
        """One column's cells.

        Raises:
            DataError: a value is neither text nor a number nor a list.
        """
        try:
            return [clean(value) for value in self.values[name]]
        except DataError as error:
            raise DataError(f"column {name!r} of {self.path} cannot be read: {error}") from None


def open_table(source: Path | pd.DataFrame) -> RawTable:
    """Read a table.

    Args:
        source: a CSV, TSV, JSON lines, Parquet or Excel file; a folder with one named ``data.*``, a
            data set that Hugging Face's library saved, or class folders of pictures and texts; or
            a data frame, whose image paths start in the current folder.

    Raises:
        DataError: there is no such table, it cannot be read, or it has no rows.
    """
    if isinstance(source, pd.DataFrame):
        table = _table(Path("DataFrame"), read_frame(source), Path())
    else:
        table = _open(source)
    if not len(table):
        raise DataError(f"a table needs at least one row, {table.path} has none; add rows to it")
    return table


def _open(path: Path) -> RawTable:
    try:
        if not path.is_dir():
            return _table(path, _read_file(path), path.parent)
        for file in (path / name for name in NAMES):
            if file.is_file():
                return _table(file, _read_file(file), path)
        return _table(path, _read_folder(path), path)
    except OSError as error:
        if error.errno is None:  # the libraries' own, for content that they cannot use
            raise no_table(path, error) from None
        raise DataError(
            f"the table {error.filename or path} cannot be read ({error.strerror}); check its "
            "permissions"
        ) from None


def _table(path: Path, read: Read, folder: Path) -> RawTable:
    odd = [name for name in read.values if whole(name) != name]
    if odd:
        raise no_table(path, f"the name of its column {odd[0]!r} holds half a character")
    return RawTable(path, read.values, folder, read.notes)


def _read_file(path: Path) -> Read:
    if not path.is_file():
        raise DataError(f"there is no table at {path}; give the path of a table or of its folder")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        *suffixes, last = READERS
        raise DataError(
            f"a table is a {', '.join(suffixes)} or {last} file, {path} is none of them; save it "
            "as one of these"
        )
    return reader(path)


def _read_folder(path: Path) -> Read:
    if is_saved(path):
        return read_saved(path)
    found = read_folder(path)
    if not found.values:
        raise DataError(
            f"a data folder holds {', '.join(NAMES[:-1])} or {NAMES[-1]}, a data set saved by "
            "Hugging Face's library, or at least two class folders of pictures (or .txt files), "
            f"{path} holds none of them; name the table's file itself"
        )
    return found
