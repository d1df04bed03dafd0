"""The user's table as a data set: which column plays which role, and what its cells hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmauto.data.cells import numbers, stripped, words
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.formats import RawTable, open_table
from mmauto.data.images import image_column
from mmauto.data.labels import observed, read_target
from mmauto.errors import DataError, unknown
from mmauto.values import Column

SPLITS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}
"""What a split column may say, in any case -> the side."""

Names = str | Sequence[str]


def read_table(
    path: str | Path,
    *,
    target: Names,
    image: Names = (),
    text: Names = (),
    tabular: Names = (),
    group: str | None = None,
    split: str | None = None,
    id: str | None = None,
    name: str | None = None,
    metric: str = "",
) -> Dataset:
    """Read a CSV, Parquet or JSON-lines table.

    Column keys are ``image`` and ``text``, or ``image:NAME`` where several columns of one modality
    are named; all tabular columns form the one key ``tabular``. Missing cells (empty, white space,
    ``NaN`` and the other words of `mmauto.data.cells.MISSING`) are missing samples; rows without
    any label are dropped. For the kinds of targets see `mmauto.data.labels`.

    Args:
        path: the table, or a folder that holds ``data.csv``, ``data.parquet`` or ``data.jsonl``.
        target: the columns to predict, the primary one first.
        image: columns of image paths, relative to the table's folder.
        text: columns of free text.
        tabular: columns of numbers (every known cell is one) or categories.
        group: rows with the same value never stand on two sides of a split.
        split: says train, valid (val, validation, dev) or test.
        id: a unique name of each row; else rows are numbered from 1.
        name: of the data set; else the file's, or the folder's for ``data.*``.
        metric: of the primary target; empty: the usual one of its kind.

    ``group``, ``split`` and ``id`` are the columns of these names where there are any and they are
    not named otherwise; an empty string turns that off. An ``id`` column that was not asked for and
    repeats itself is no id: rows are then numbered, with a note.

    Raises:
        DataError: the table, its columns or its images cannot be used as they are.
    """
    table = open_table(Path(path))
    inputs = {"image": _list(image), "text": _list(text), "tabular": _list(tabular)}
    wanted = {"target": _list(target), **inputs}
    given = {"group": group, "split": split, "id": id}
    marks = _marks(table, given, wanted)
    _check_roles(table, {**wanted, **{role: [name] for role, name in marks.items()}})

    notes = list(table.notes)
    targets, keep = _targets(table, wanted["target"], metric, notes)
    columns = _columns(table, inputs, keep, notes)
    ids = _ids(table, marks.get("id"), id is not None, keep, notes)
    return Dataset(
        name=name
        or (table.path.resolve().parent.name if table.path.stem == "data" else table.path.stem),
        columns=columns,
        targets=targets,
        ids=ids,
        groups=_groups(table, marks["group"], keep, ids, notes) if "group" in marks else None,
        split=_split(table, marks["split"], keep) if "split" in marks else None,
        notes=tuple(notes),
    )


def _list(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _marks(
    table: RawTable, given: Mapping[str, str | None], wanted: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    taken = {name for names in [*wanted.values(), given.values()] for name in names}
    marks = {}
    for role, name in given.items():
        if name is None and role in table.values and role not in taken:
            marks[role] = role
        elif name:
            marks[role] = name
    return marks


def _check_roles(table: RawTable, roles: Mapping[str, Sequence[str]]) -> None:
    taken: dict[str, str] = {}
    for role, names in roles.items():
        for name in names:
            if name not in table.values:
                source = f"{role}, {table.path}"
                raise DataError(unknown("column", name, table.values, source=source))
            if name in taken:
                raise DataError(
                    f"a column has one role, {name!r} of {table.path} is named as {taken[name]} "
                    f"and as {role}; leave one of them out"
                )
            taken[name] = role
    if not roles["target"]:
        raise DataError(f"a task needs a target, none is named for {table.path}; name a column")
    if not (roles["image"] or roles["text"] or roles["tabular"]):
        raise DataError(
            f"a task needs inputs, no image, text or tabular column is named for {table.path}; "
            f"it has the columns {', '.join(table.values)}"
        )


def _targets(
    table: RawTable, names: Sequence[str], metric: str, notes: list[str]
) -> tuple[dict[str, TargetColumn], np.ndarray]:
    found = {}
    for position, name in enumerate(names):
        target, said = read_target(
            name, table.cells(name), str(table.path), metric if position == 0 else ""
        )
        found[name] = target
        notes.extend(said)
    keep = np.logical_or.reduce([observed(target) for target in found.values()])
    if not keep.all():
        notes.append(f"rows without any label, left out: {(~keep).sum()} of {len(keep)}")
    return {k: replace(target, values=target.values[keep]) for k, target in found.items()}, keep


def _columns(
    table: RawTable, inputs: Mapping[str, Sequence[str]], keep: np.ndarray, notes: list[str]
) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for modality in ("image", "text"):
        for name in inputs[modality]:
            key = modality if len(inputs[modality]) == 1 else f"{modality}:{name}"
            cells = _cells(table, name, keep)
            if modality == "image":
                columns[key] = image_column(stripped(cells), name, table.path.parent)
            else:
                columns[key] = Texts(cells)
    if inputs["tabular"]:
        columns["tabular"] = _tabular(table, inputs["tabular"], keep, notes)
    return columns


def _cells(table: RawTable, name: str, keep: np.ndarray) -> list[str | None]:
    """The kept cells of an input column, which must not all be missing."""
    cells = words(table.cells(name), f"column {name!r} of {table.path}")
    kept = [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]
    if all(cell is None for cell in kept):
        raise DataError(
            f"an input column needs at least one value, {name!r} of {table.path} has none in the "
            "rows with a label; leave the column out"
        )
    return kept


def _tabular(
    table: RawTable, names: Sequence[str], keep: np.ndarray, notes: list[str]
) -> TabularValues:
    values: dict[str, np.ndarray] = {}
    fields: dict[str, str] = {}
    for name in names:
        cells = stripped(_cells(table, name, keep))
        found = numbers(cells)
        known = np.array([cell is not None for cell in cells])
        words_in = known & np.isnan(found)
        if words_in.any():
            values[name], fields[name] = np.array(cells, dtype=object), "categorical"
            if words_in.sum() < known.sum() / 2:
                example = cells[int(np.flatnonzero(words_in)[0])]
                notes.append(
                    f"column {name!r} is read as categories, not as numbers, because of "
                    f"{words_in.sum()} of its {known.sum()} values (e.g. {example!r})"
                )
            continue
        infinite = np.isinf(found)
        if infinite.any():
            notes.append(f"column {name!r}: infinite numbers count as missing ({infinite.sum()})")
        values[name], fields[name] = np.where(infinite, np.nan, found), "numeric"
    return TabularValues(values, fields)


def _mark(table: RawTable, name: str, keep: np.ndarray) -> list[str | None]:
    cells = stripped(words(table.cells(name), f"column {name!r} of {table.path}"))
    return [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]


def _ids(
    table: RawTable, name: str | None, asked: bool, keep: np.ndarray, notes: list[str]
) -> np.ndarray:
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
        notes.append(f"column {name!r} is not used as row id, since {odd}: rows are numbered")
    return np.array([str(row + 1) for row in np.flatnonzero(keep)], dtype=object)


def _groups(
    table: RawTable, name: str, keep: np.ndarray, ids: np.ndarray, notes: list[str]
) -> np.ndarray:
    groups = _mark(table, name, keep)
    lacks = groups.count(None)
    if lacks:
        notes.append(f"rows without a group in {name!r}, each a group of its own: {lacks}")
    own = [f"row {row}" if group is None else group for row, group in zip(ids, groups, strict=True)]
    return np.array(own, dtype=object)


def _split(table: RawTable, name: str, keep: np.ndarray) -> np.ndarray:
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
