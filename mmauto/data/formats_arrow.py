"""Arrow's columns: Parquet files, and data sets that Hugging Face's library saved to disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mmauto.data.formats_read import Read, check_names, dated, no_table, not_installed
from mmauto.errors import DataError

SPLIT = "split"
NARROW = {"halffloat": np.float16, "float": np.float32}
"""Arrow's floats whose digits as a Python float would be those of the rounding."""

IMAGE = {"bytes", "path"}
"""The fields of an image as Hugging Face stores it."""


def read_parquet(path: Path) -> Read:
    """A Parquet file; images as Hugging Face stores them become their bytes, or their path.

    Raises:
        DataError: pyarrow is not installed, or it is no such file.
        OSError: it cannot be opened.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise not_installed("Parquet", path, "pyarrow", "parquet") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
        check_names(path, table.column_names)
        return Read(_columns(table))
    except OSError:
        raise
    except Exception as error:  # pyarrow raises whatever broken metadata leads it to
        raise no_table(path, error) from None


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a data set that ``save_to_disk`` wrote."""
    one = (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    return one or (folder / "dataset_dict.json").is_file()


def read_saved(folder: Path) -> Read:
    """A data set as ``datasets.load_from_disk`` reads it, classes by their names.

    The parts of a ``DatasetDict`` follow one another, and a column ``split`` names them.

    Raises:
        DataError: datasets is not installed, or the folder is broken.
    """
    try:
        import datasets
    except ImportError:
        raise not_installed("a saved data set", folder, "datasets", "datasets") from None
    try:
        _refuse_strays(folder)
        found = datasets.load_from_disk(str(folder))
        parts = found if isinstance(found, datasets.DatasetDict) else {"": found}
        columns = {
            name: _named(_columns(part.with_format("arrow")[:]), part.features)
            for name, part in parts.items()
        }
        lengths = {name: len(part) for name, part in parts.items()}
    except (PermissionError, DataError):
        raise
    except Exception as error:  # the library raises whatever broken files lead it to
        raise no_table(folder, error) from None
    return _joined(columns, lengths, folder)


def _refuse_strays(folder: Path) -> None:
    """Refuse a saved data set that says its rows stand in files of another folder."""
    for state in [folder / "state.json", *sorted(folder.glob("*/state.json"))]:
        if not state.exists():
            continue
        for file in json.loads(state.read_text(encoding="utf-8")).get("_data_files", []):
            # links are the user's own: a hub's snapshot is made of them
            parts = PurePath(file["filename"])
            if parts.is_absolute() or ".." in parts.parts:
                raise no_table(folder, f"{state.name} names {file['filename']!r}, outside of it")


def _joined(
    parts: Mapping[str, Mapping[str, list[Any]]], lengths: Mapping[str, int], folder: Path
) -> Read:
    names = dict.fromkeys(name for columns in parts.values() for name in columns)
    values: dict[str, list[Any]] = {name: [] for name in names}
    for part, columns in parts.items():
        for name in names:
            values[name].extend(columns.get(name, [None] * lengths[part]))
    if "" in parts:
        return Read(values)
    said = f"column {SPLIT!r} of {folder}: the names of its parts stand in place of it"
    values[SPLIT] = [part for part, length in lengths.items() for _ in range(length)]
    return Read(values, (said,) if SPLIT in names else ())


def _named(columns: Mapping[str, list[Any]], features: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns with the names of classes instead of their numbers, also inside lists."""
    from datasets import ClassLabel

    values = dict(columns)
    for column, feature in features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(feature, ClassLabel):
            values[column] = [_name(value, feature.names) for value in columns[column]]
        elif isinstance(inner, ClassLabel):
            values[column] = [
                None if row is None else [_name(value, inner.names) for value in row]
                for row in columns[column]
            ]
    return values


def _name(value: int | None, names: Sequence[str]) -> str | None:
    return None if value is None or value < 0 else names[value]


def _columns(table: Any) -> dict[str, list[Any]]:
    """A ``pyarrow.Table`` as plain values."""
    return {field.name: _plain(table.column(field.name), field.type) for field in table.schema}


def _plain(column: Any, kind: Any) -> list[Any]:
    values = column.to_pylist()
    if narrow := NARROW.get(str(kind)):
        return [None if value is None else float(str(narrow(value))) for value in values]
    if str(kind).startswith("struct<") and {kind[i].name for i in range(len(kind))} == IMAGE:
        return [None if value is None else _image(value) for value in values]
    return dated(values)


def _image(value: Mapping[str, Any]) -> bytes | str | None:
    content: bytes | str | None = value["path"] if value["bytes"] is None else value["bytes"]
    return content
