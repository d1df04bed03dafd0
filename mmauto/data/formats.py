"""Tables in files: CSV, JSON lines and Parquet become columns of cells."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmauto.data.cells import Cell, clean
from mmauto.errors import DataError

NAMES = ("data.csv", "data.parquet", "data.jsonl")
"""What a folder may hold; the first that is there is read."""


@dataclass(frozen=True)
class RawTable:
    """A table as read.

    Attributes:
        values: column -> values as the format gives them, in the file's order.
        notes: what had to be guessed while reading.
    """

    path: Path
    values: Mapping[str, list[Any]]
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where relative image paths start."""
        return self.path.parent

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


def open_table(path: Path) -> RawTable:
    """Read a table; a folder means the ``data.csv``, ``data.parquet`` or ``data.jsonl`` in it.

    Raises:
        DataError: there is no such file, it is no table, or it has no rows.
    """
    file = _locate(path)
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _parquet}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            f"a table is a .csv, .tsv, .jsonl or .parquet file, {file} is none of them; "
            "save it as one of these"
        )
    try:
        table = reader(file)
    except OSError as error:
        raise DataError(
            f"the table {file} cannot be read ({error.strerror or error}); check its permissions"
        ) from None
    if not len(table):
        raise DataError(f"a table needs at least one row, {file} has none; add rows to it")
    return table


def _locate(path: Path) -> Path:
    if path.is_dir():
        for name in NAMES:
            if (path / name).is_file():
                return path / name
        raise DataError(
            f"a data folder holds {', '.join(NAMES[:-1])} or {NAMES[-1]}, {path} holds none of "
            "them; name the table's file itself"
        )
    if not path.is_file():
        raise DataError(f"there is no table at {path}; give the path of a table or of its folder")
    return path


def _no_table(path: Path, why: str) -> DataError:
    return DataError(f"{path} is not a readable table ({why}); repair the file or save it again")


def _decode(path: Path) -> tuple[str, tuple[str, ...]]:
    content = path.read_bytes()
    if b"\0" in content:
        raise _no_table(path, "it holds binary data where UTF-8 text is expected")
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        note = f"{path.name} is not UTF-8: it was read as Latin-1, check the accents in its texts"
        return content.decode("latin-1"), (note,)


def _read_csv(path: Path) -> RawTable:
    text, notes = _decode(path)
    if not text.strip():
        return RawTable(path, {})
    head = re.sub(r'"[^"]*"', "", text.lstrip().splitlines()[0])
    delimiter = max(",;\t", key=head.count)
    try:
        lines = io.StringIO(text.lstrip("\r\n"), newline="")
        names = next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _no_table(path, f"it has two columns named {twice[0]!r}")
        with warnings.catch_warnings():
            # pandas only warns where rows are longer than the header, and drops what is beyond it
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                sep=delimiter,
                dtype=object,
                na_filter=False,
                skipinitialspace=True,
                index_col=False,
            )
    except pd.errors.ParserWarning:
        raise _no_table(path, "its rows have more cells than its header") from None
    except (ValueError, csv.Error) as error:
        raise _no_table(path, str(error).strip().splitlines()[0]) from None
    return RawTable(path, {str(name): frame[name].tolist() for name in frame.columns}, notes)


def _read_jsonl(path: Path) -> RawTable:
    text, notes = _decode(path)
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _no_table(path, f"line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise _no_table(path, f"line {number} is not a JSON object")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return RawTable(path, {name: [row.get(name) for row in rows] for name in names}, notes)


def _parquet(path: Path) -> RawTable:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"reading Parquet ({path}) needs pyarrow, which is not installed; "
            'run: pip install "mmauto[parquet]"'
        ) from None
    try:
        frame = pyarrow.parquet.ParquetFile(path).read()
    except pyarrow.ArrowException as error:
        raise _no_table(path, str(error).splitlines()[0]) from None
    return RawTable(path, frame.to_pydict())
