"""New rows for a trained model: the columns that it reads, from a table that may lack some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmauto.data.assign import raw_cells
from mmauto.data.cells import WHOLE, numbers, stripped, words
from mmauto.data.columns import DOMAIN, Domains, TabularValues, Texts
from mmauto.data.dataset import with_input
from mmauto.data.formats import NAMES, RawTable, open_table
from mmauto.data.formats_arrow import is_saved
from mmauto.data.image_columns import ImageFiles
from mmauto.data.images import image_column
from mmauto.data.labels import cell_labels
from mmauto.data.places import cache_folder
from mmauto.data.roles import IMAGE_FILE
from mmauto.errors import DataError
from mmauto.values import Column, TargetSpec

SHOWN = 5
ODD = {
    "regression": "values are no finite numbers",
    "multilabel": "labels are of classes that the model has never seen",
    "multiclass": "rows are of classes that the model has never seen",
}


@dataclass(frozen=True)
class Wanted:
    """One modality as a model was trained on it.

    Attributes:
        sources: columns of the table.
        fields: for tabular columns, field -> ``"numeric"`` or ``"categorical"``.
    """

    modality: str
    sources: tuple[str, ...]
    fields: Mapping[str, str]


@dataclass(frozen=True)
class NewRows:
    """Rows to predict.

    Attributes:
        ids: ``(N,)`` the table's ids where it has them, else row numbers from 1.
        notes: what was missing or unusable.
    """

    table: RawTable
    columns: Mapping[str, Column]
    ids: np.ndarray
    notes: tuple[str, ...]


def read_rows(
    source: str | Path | pd.DataFrame,
    wanted: Mapping[str, Wanted],
    *,
    id: str = "id",
    image_folder: str | Path | None = None,
    max_bad: float = 1.0,
) -> NewRows:
    """The inputs of every row; a column that is not there is missing in every row.

    Args:
        max_bad: share of unusable images let through, as missing.

    Raises:
        DataError: the table cannot be read, no wanted column is there, or a row has no input.
    """
    table = _open(source)
    every = [name for part in wanted.values() for name in part.sources]
    lacking = [name for name in every if name not in table.values]
    if len(lacking) == len(every):
        raise DataError(
            f"a prediction needs the columns that the model was trained on ({', '.join(every)}), "
            f"{table.path} has none of them but {', '.join(table.values)}; rename its columns"
        )
    notes = list(table.notes)
    if lacking:
        notes.append(
            f"columns that are not in {table.path} count as missing in every row: "
            f"{', '.join(lacking)}; its other columns are "
            f"{', '.join(n for n in table.values if n not in every) or 'none'}"
        )
    root = Path(image_folder) if image_folder else table.folder
    columns: dict[str, Column] = {}
    for key, part in wanted.items():
        if part.modality == "tabular":
            columns[key] = _fields(table, part, notes)
        elif part.modality == "image":
            columns[key] = _images(table, part, root, max_bad, notes)
        else:
            columns[key] = _texts(table, part)
    ids = _ids(table, id)
    _refuse_empty(table, columns, ids)
    return NewRows(table, columns, ids, tuple(notes))


def _open(source: str | Path | pd.DataFrame) -> RawTable:
    """A table, or a folder of pictures without any."""
    if isinstance(source, pd.DataFrame):
        return open_table(source)
    if not isinstance(source, str | Path):
        raise DataError(
            "new rows are a table's path, a folder or a pandas data frame, "
            f"{type(source).__name__} was given; make a data frame of it"
        )
    path = Path(source)
    if not path.is_dir() or any((path / name).is_file() for name in NAMES) or is_saved(path):
        return open_table(path)
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and IMAGE_FILE.search(file.name) and not file.name.startswith(".")
    )
    if not names:
        return open_table(path)
    texts = [(path / name).with_suffix(".txt") for name in names]
    told = [file.read_text("utf-8", "replace") if file.is_file() else None for file in texts]
    labels = [Path(name).parent.name or None for name in names]
    values: dict[str, list[Any]] = {"id": [*names], "image": [*names]}
    values |= {"text": [*told], "label": [*labels]}
    return RawTable(path, values, path)


def read_labels(
    rows: NewRows, specs: Mapping[str, TargetSpec], separator: str = ""
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The labels of new rows, in the form of `mmauto.data.targets.encode_targets`.

    Returns:
        target -> labels; those of a class that the model does not know are unobserved, and a note
        counts them.

    Raises:
        DataError: the primary target is no column of the table, no row has a label of it that the
            model knows, or a cell holds a list where it predicts one label.
    """
    found, notes = {}, []
    for place, (name, spec) in enumerate(specs.items()):
        if name not in rows.table.values:
            if place == 0:
                raise DataError(
                    f"an evaluation needs labels, {rows.table.path} has no column {name!r} but "
                    f"{', '.join(rows.table.values)}; name the column of labels {name!r}"
                )
            notes.append(f"no column {name!r} is there: that target is not evaluated")
            continue
        found[name], usable, odd = _labels(rows, spec, separator)
        shown = ", ".join(repr(value) for value in list(dict.fromkeys(odd))[:SHOWN])
        if place == 0 and not usable.any():
            kind = f"of the classes that the model knows ({', '.join(spec.classes[:SHOWN])} ...)"
            raise DataError(
                f"labels are {kind if spec.classes else 'finite numbers'}, target {name!r} of "
                f"{rows.table.path} has none of them (it says {shown or 'nothing'}); correct the "
                "column"
            )
        if odd:
            notes.append(
                f"target {name!r}: {len(odd)} {ODD.get(spec.kind, ODD['multiclass'])} ({shown}); "
                "they are left out of the scores"
            )
    return found, notes


def _labels(
    rows: NewRows, spec: TargetSpec, separator: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, the rows whose label the model can be scored on ``(N,)`` bool, and other labels."""
    cells = rows.table.cells(spec.name)
    if spec.kind == "multilabel":
        return _tags([cell_labels(cell, separator or "|") for cell in cells], spec.classes)
    labels = stripped(words(cells, f"target {spec.name!r} of {rows.table.path}"))
    if spec.kind == "regression":
        values = numbers(labels)
        usable = np.isfinite(values)
        odd = [v for v, fine in zip(labels, usable, strict=True) if v is not None and not fine]
        return np.where(usable, values, np.nan), usable, odd
    if all(WHOLE.fullmatch(name) for name in spec.classes):
        labels = [_whole(label) for label in labels]
    place = {name: index for index, name in enumerate(spec.classes)}
    found = np.array([-1 if v is None else place.get(v, -1) for v in labels], dtype=np.int64)
    odd = [v for v in labels if v is not None and v not in place]
    values = found if spec.kind == "multiclass" else np.where(found < 0, np.nan, found)
    return values, found >= 0, odd


def _tags(
    cells: Sequence[Sequence[str] | None], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    place = {name: index for index, name in enumerate(classes)}
    values = np.zeros((len(cells), len(classes)))
    odd = [name for cell in cells for name in cell or () if name not in place]
    for row, cell in enumerate(cells):
        if cell is None:
            values[row] = np.nan
        else:
            values[row, [place[name] for name in cell if name in place]] = 1.0
    # rows of unknown labels alone would be scored as rows without any
    usable = [cell is not None and (not cell or bool(place.keys() & set(cell))) for cell in cells]
    values[~np.array(usable, dtype=bool)] = np.nan
    return values, np.array(usable, dtype=bool), odd


def _whole(label: str | None) -> str | None:
    # classes 0 and 1 are often written as 0.0 and 1.0 where a column has gaps
    return label[:-2] if label is not None and label.endswith(".0") else label


def _texts(table: RawTable, part: Wanted) -> Texts:
    (name,) = part.sources
    kind = Domains if part.modality == DOMAIN else Texts
    if name not in table.values:
        return kind([None] * len(table))
    return kind(words(table.cells(name), f"column {name!r} of {table.path}"))


def _images(table: RawTable, part: Wanted, root: Path, max_bad: float, notes: list[str]) -> Column:
    (name,) = part.sources
    if name not in table.values:
        return ImageFiles([None] * len(table))
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in raw_cells(table, name)]
    found = image_column(cells, name, root, cache_folder() / "images", max_bad)
    notes.extend(str(finding) for finding in found.findings)
    return found.column


def _fields(table: RawTable, part: Wanted, notes: list[str]) -> TabularValues:
    values: dict[str, np.ndarray] = {}
    for name, kind in part.fields.items():
        cells: Sequence[str | None] = [None] * len(table)
        if name in table.values:
            cells = stripped(words(table.cells(name), f"column {name!r} of {table.path}"))
        if kind == "categorical":
            values[name] = np.array(cells, dtype=object)
            continue
        found = numbers(cells)
        odd = sum(cell is not None for cell in cells) - int(np.isfinite(found).sum())
        if odd:
            notes.append(f"column {name!r}: what is no finite number counts as missing ({odd})")
        values[name] = np.where(np.isfinite(found), found, np.nan)
    return TabularValues(values, part.fields)


def _ids(table: RawTable, name: str) -> np.ndarray:
    numbered = np.array([str(row + 1) for row in range(len(table))], dtype=object)
    if name not in table.values:
        return numbered
    cells = table.cells(name)
    return np.array(
        [n if cell is None else str(cell) for n, cell in zip(numbered, cells, strict=True)], object
    )


def _refuse_empty(table: RawTable, columns: Mapping[str, Column], ids: np.ndarray) -> None:
    some = with_input(columns)
    if some.all():
        return
    empty = ids[~some].tolist()
    shown = ", ".join(empty[:SHOWN]) + (f" and {len(empty) - SHOWN} more" * (len(empty) > SHOWN))
    raise DataError(
        f"every row needs at least one input, {len(empty)} of {len(ids)} rows of {table.path} have "
        f"none that can be used (row {shown}); fill a cell of each, or delete the rows"
    )
