"""The user's table as a data set: which column plays which role, and what its cells hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmauto.data.assign import Named, assign, check_named, raw_cells
from mmauto.data.cells import numbers, stripped, words
from mmauto.data.columns import DOMAIN, Domains, TabularValues, Texts
from mmauto.data.dataset import Dataset, TargetColumn, without_empty_rows
from mmauto.data.formats import RawTable, open_table
from mmauto.data.images import Pictures, image_column
from mmauto.data.labels import observed, read_target
from mmauto.data.marks import groups_of, ids_of, split_of
from mmauto.data.places import cache_folder
from mmauto.data.roles import ONCE
from mmauto.data.subgroups import kept_cells
from mmauto.errors import DataError
from mmauto.findings import RoleGuess
from mmauto.values import Column

MAX_BAD = 0.05
LABELS = ("label", "target", "class", "y", "outcome")
"""Columns that are taken for the target where none is named."""

Names = str | Sequence[str]


def read_table(
    source: str | Path | pd.DataFrame,
    *,
    target: Names = (),
    image: Names = (),
    text: Names = (),
    tabular: Names = (),
    group: str | None = None,
    split: str | None = None,
    id: str | None = None,
    domain: str | None = None,
    subgroup: Names = (),
    roles: Mapping[str, str] | None = None,
    name: str | None = None,
    metric: str = "",
    image_folder: str | Path | None = None,
    max_bad: float = MAX_BAD,
    separator: str = "",
    unlabelled: bool = False,
) -> Dataset:
    """Read a table: CSV, Parquet, JSON lines, Excel, a folder of class folders, a data frame ...

    Where no input is named, every column finds its role by name and content (`mmauto.data.roles`),
    and columns that give the label away are left out; where one is named, only named ones are
    inputs. Column keys are ``image`` and ``text``, or ``image:NAME`` where one modality has several
    columns; all tabular columns form the one key ``tabular``. Missing cells (empty, white space,
    ``NaN`` and the other words of `mmauto.data.cells.MISSING`) are missing samples; rows without
    any label are dropped. For the kinds of targets see `mmauto.data.labels`.

    Args:
        source: the table, or a folder that holds ``data.csv``, ``data.parquet`` ...; for the others
            see `mmauto.data.formats`.
        target: the columns to predict, the primary one first; default: the one called like a label
            (`LABELS`).
        image: columns of image paths relative to the table's folder, or of images as bytes/base64.
        text: columns of free text.
        tabular: columns of numbers (every known cell is one) or categories.
        group: rows with the same value never stand on two sides of a split.
        split: says train, valid (val, validation, dev) or test.
        id: a unique name of each row; else rows are numbered from 1.
        domain: where a row comes from, for a domain adapter; never guessed.
        subgroup: columns by which answers are broken down; of any role, which stays as it is.
        roles: column -> role (`mmauto.data.roles.ROLES`), over the guesses.
        name: of the data set; else the file's, or the folder's for ``data.*``.
        metric: of the primary target; empty: the usual one of its kind.
        image_folder: where image paths start; default: the table's folder.
        max_bad: share of an image column's pictures that may be missing files, broken or huge; they
            then count as missing.
        separator: between the labels of a multilabel target; default ``|``.
        unlabelled: keep rows without any label, for training without labels.

    ``group``, ``split`` and ``id`` are the columns of these names where there are any and they are
    not named otherwise; an empty string turns that off. An ``id`` column that was not asked for and
    repeats itself is no id: rows are then numbered.

    Raises:
        DataError: the table, its columns or its images cannot be used as they are.
        ConfigError: there is no such subgroup column.
    """
    table = open_table(source if isinstance(source, pd.DataFrame) else Path(source))
    named = Named(
        _list(target) or find_target(table),
        {"image": _list(image), "text": _list(text), "tabular": _list(tabular)},
        {"group": group, "split": split, "id": id, DOMAIN: domain or ""},
        roles or {},
    )
    check_named(table, named)
    notes = list(table.notes)
    targets, keep = _targets(table, named.target, metric, separator, notes, unlabelled)
    kept = kept_cells(table, _list(subgroup), keep)
    guesses, findings = assign(table, named, targets)
    chosen = _Chosen.of(guesses, named)
    root = Path(image_folder) if image_folder else table.folder
    store = cache_folder() / "images"
    pictures = {
        column: image_column(
            stripped_paths(raw_cells(table, column), keep), column, root, store, max_bad
        )
        for column in chosen.image
    }
    columns, sources = _columns(table, chosen, pictures, keep, notes)
    ids = ids_of(table, chosen.marks.get("id"), id is not None, keep, findings)
    data = Dataset(
        name=name or _name(table),
        columns=columns,
        targets={k: replace(t, values=t.values[keep]) for k, t in targets.items()},
        ids=ids,
        groups=groups_of(table, chosen.marks["group"], keep, ids, notes)
        if "group" in chosen.marks
        else None,
        split=split_of(table, chosen.marks["split"], keep) if "split" in chosen.marks else None,
        notes=tuple(notes),
        findings=(*findings, *(f for found in pictures.values() for f in found.findings)),
        roles=tuple(guesses),
        sources=sources,
        looks={_key("image", c, chosen.image): found.looks for c, found in pictures.items()},
        foldered=table.path.is_dir(),
        subgroups=kept,
    )
    return without_empty_rows(data)


@dataclass(frozen=True)
class _Chosen:
    """The columns by what they become."""

    image: Sequence[str]
    text: Sequence[str]
    tabular: Mapping[str, str]
    marks: Mapping[str, str]

    @classmethod
    def of(cls, guesses: Sequence[RoleGuess], named: Named) -> _Chosen:
        # named columns keep the order in which they were named
        place = {n: i for i, n in enumerate(n for names in named.inputs.values() for n in names)}
        ordered = sorted(guesses, key=lambda guess: place.get(guess.column, len(place)))
        kinds = {"numeric": "numeric", "categorical": "categorical", "tabular": ""}
        return cls(
            [g.column for g in ordered if g.role == "image"],
            [g.column for g in ordered if g.role == "text"],
            {g.column: kinds[g.role] for g in ordered if g.role in kinds},
            {g.role: g.column for g in ordered if g.role in ONCE},
        )


def find_target(table: RawTable) -> list[str]:
    """The column that is called like a label; none where there is none."""
    lower = {name.lower(): name for name in table.values}
    return [lower[name] for name in LABELS if name in lower][:1]


def stripped_paths(cells: Sequence[Any], keep: np.ndarray) -> list[Any]:
    """The kept image cells, paths without white space around them."""
    kept = [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]
    return [cell.strip() if isinstance(cell, str) else cell for cell in kept]


def _name(table: RawTable) -> str:
    path = table.path.resolve()
    return path.parent.name if path.stem == "data" else path.stem


def _key(modality: str, column: str, beside: Sequence[str]) -> str:
    return modality if len(beside) == 1 else f"{modality}:{column}"


def _list(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _targets(
    table: RawTable,
    names: Sequence[str],
    metric: str,
    separator: str,
    notes: list[str],
    unlabelled: bool,
) -> tuple[dict[str, TargetColumn], np.ndarray]:
    """The targets over all rows, and ``(N,)`` bool: the rows with a label."""
    found = {}
    for position, name in enumerate(names):
        target, said = read_target(
            name, table.cells(name), str(table.path), metric if position == 0 else "", separator
        )
        found[name] = target
        notes.extend(said)
    if separator and not any(target.kind == "multilabel" for target in found.values()):
        raise DataError(
            f"the separator stands between labels, {separator!r} stands in no cell of "
            f"{', '.join(names)} of {table.path}; leave --separator out, or name the one in use"
        )
    keep = np.logical_or.reduce([observed(target) for target in found.values()])
    if keep.all():
        return found, keep
    what = "kept in train" if unlabelled else "left out"
    notes.append(f"rows without any label, {what}: {(~keep).sum()} of {len(keep)}")
    return found, np.ones_like(keep) if unlabelled else keep


def _columns(
    table: RawTable,
    chosen: _Chosen,
    pictures: Mapping[str, Pictures],
    keep: np.ndarray,
    notes: list[str],
) -> tuple[dict[str, Column], dict[str, tuple[str, ...]]]:
    """The columns by key, and the table's columns behind each key."""
    columns: dict[str, Column] = {}
    sources: dict[str, tuple[str, ...]] = {}
    for name in chosen.image:
        if not pictures[name].column.present.any():
            raise _no_values(table, name)
        key = _key("image", name, chosen.image)
        columns[key], sources[key] = pictures[name].column, (name,)
    for name in chosen.text:
        key = _key("text", name, chosen.text)
        columns[key], sources[key] = Texts(_cells(table, name, keep)), (name,)
    if chosen.tabular:
        columns["tabular"] = _tabular(table, chosen.tabular, keep, notes)
        sources["tabular"] = tuple(chosen.tabular)
    if DOMAIN in chosen.marks:
        name = chosen.marks[DOMAIN]
        columns[DOMAIN], sources[DOMAIN] = Domains(_cells(table, name, keep)), (name,)
    return columns, sources


def _cells(table: RawTable, name: str, keep: np.ndarray) -> list[str | None]:
    """The kept cells of an input column, which must not all be missing."""
    cells = words(table.cells(name), f"column {name!r} of {table.path}")
    kept = [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]
    if all(cell is None for cell in kept):
        raise _no_values(table, name)
    return kept


def _no_values(table: RawTable, name: str) -> DataError:
    return DataError(
        f"an input column needs at least one value, {name!r} of {table.path} has none in the "
        "rows with a label; leave the column out"
    )


def _tabular(
    table: RawTable, kinds: Mapping[str, str], keep: np.ndarray, notes: list[str]
) -> TabularValues:
    values: dict[str, np.ndarray] = {}
    fields: dict[str, str] = {}
    for name, kind in kinds.items():
        cells = stripped(_cells(table, name, keep))
        found = numbers(cells)
        known = np.array([cell is not None for cell in cells])
        words_in = known & np.isnan(found)
        if kind == "numeric" and words_in.any():
            notes.append(f"column {name!r}: words count as missing numbers ({words_in.sum()})")
        elif kind == "categorical" or words_in.any():
            values[name], fields[name] = np.array(cells, dtype=object), "categorical"
            if not kind and words_in.sum() < known.sum() / 2:
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
