"""Subgroups of the rows that answers are broken down by: a column's cells, and labels from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmauto.data.cells import numbers, words
from mmauto.data.columns import DOMAIN
from mmauto.data.dataset import Dataset
from mmauto.data.formats import RawTable
from mmauto.errors import ConfigError, unknown

MOST = 20
"""Different values that are subgroups of their own; of more, numbers are cut into quartiles, and
rarer words share one subgroup."""

NUMBERS = 0.95
"""Share of the known cells that must be numbers for a column to count as numbers."""

MISSING, OTHER = "(missing)", "(other)"


def kept_cells(table: RawTable, columns: Sequence[str], keep: np.ndarray) -> dict[str, np.ndarray]:
    """Column of a table -> ``(N,)`` cells of the rows to keep: text, or None where missing.

    Args:
        keep: bool, for all rows of the table.

    Raises:
        ConfigError: there is no such column.
        DataError: a column holds lists or pictures.
    """
    for name in columns:
        if name not in table.values:
            raise _unknown(name, table.values, str(table.path))
    return {
        name: np.array(words(table.cells(name), f"column {name!r} of {table.path}"), object)[keep]
        for name in columns
    }


def subgroup_cells(dataset: Dataset, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Column -> ``(N,)`` cells: text, or None where missing.

    A table keeps its columns when it is read; any other data has its tabular fields, its targets
    of one label a row, and ``domain`` and ``group``.

    Raises:
        ConfigError: there is no such column.
    """
    known = set(_names(dataset)) | set(dataset.subgroups)
    for name in columns:
        if name not in known:
            raise _unknown(name, known, f"the data of {dataset.name!r}")
    return {
        name: dataset.subgroups[name] if name in dataset.subgroups else _cells(dataset, name)
        for name in columns
    }


def _unknown(name: str, known: Iterable[str], where: str) -> ConfigError:
    said = unknown("column", name, known, source=f"subgroup, {where}")
    return ConfigError(f"{said}; name another one with --subgroup")


def _names(dataset: Dataset) -> Iterable[str]:
    for column in dataset.columns.values():
        yield from column.fields
    yield from (name for name, target in dataset.targets.items() if target.values.ndim == 1)
    if DOMAIN in dataset.columns:
        yield DOMAIN
    if dataset.groups is not None:
        yield "group"


def _cells(dataset: Dataset, name: str) -> np.ndarray:
    for column in dataset.columns.values():
        if name in column.fields:
            return _as_text((row or {}).get(name) for row in column)
    if name in dataset.targets:
        return _as_text(dataset.targets[name].values)
    return _as_text(dataset.columns[DOMAIN] if name == DOMAIN else dataset.groups)


def _as_text(values: Any) -> np.ndarray:
    """``(N,)`` text; None for None and NaN."""
    found = [
        None if value is None or value != value
        else f"{value:.12g}" if isinstance(value, float) else str(value)
        for value in values
    ]  # fmt: skip
    return np.array(found, dtype=object)


def subgroup_labels(cells: np.ndarray, cut_by: np.ndarray) -> np.ndarray:
    """``(N,)`` the subgroup of each row, with readable names.

    Args:
        cells: ``(N,)`` text, or None where missing.
        cut_by: places of the rows that decide where numbers are cut and which words count: those
            of train, or of all folds.
    """
    texts = [None if cell is None else cell.strip() for cell in cells.tolist()]
    known = [text for text in texts if text is not None]
    values = numbers(texts)
    if len(set(known)) > MOST and np.sum(~np.isnan(values)) >= NUMBERS * len(known):
        return _quartiles(values, cut_by)
    names, counts = np.unique(
        [text for row in cut_by if (text := texts[int(row)]) is not None], return_counts=True
    )
    common = set(names[np.argsort(-counts, kind="stable")[:MOST]].tolist())
    kept = set(known) if len(set(known)) <= MOST else common
    named = [MISSING if text is None else text if text in kept else OTHER for text in texts]
    return np.array(named, dtype=object)


def _quartiles(values: np.ndarray, cut_by: np.ndarray) -> np.ndarray:
    """``(N,)`` names such as ``54 to 67``; words among the numbers count as missing."""
    seen = values[cut_by]
    seen = seen[np.isfinite(seen)] if np.isfinite(seen).any() else values[np.isfinite(values)]
    whole = bool(np.all(seen == np.round(seen)))
    edges = _readable(np.quantile(seen, (0.25, 0.5, 0.75)), whole)
    first = edges + 1 if whole else edges
    between = [
        f"{low:.15g} to {high:.15g}" if low < high else f"{low:.15g}"
        for low, high in zip(first, edges[1:], strict=False)
    ]
    last = f"from {first[-1]:.15g}" if whole else f"over {first[-1]:.15g}"
    names = [f"up to {edges[0]:.15g}", *between, last]
    places = np.searchsorted(edges, values, side="left")  # an edge belongs to the part below it
    parts = [MISSING if np.isnan(v) else names[p] for v, p in zip(values, places, strict=True)]
    return np.array(parts, dtype=object)


def _readable(edges: np.ndarray, whole: bool) -> np.ndarray:
    """The distinct edges in as few digits as keep them distinct."""
    if whole:
        return np.unique(np.floor(edges))
    for digits in (3, 6):
        found = np.unique([float(f"{edge:.{digits}g}") for edge in edges])
        if len(found) == len(np.unique(edges)):
            return found
    return np.unique(edges)
