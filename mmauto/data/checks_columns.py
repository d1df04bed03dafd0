"""Findings about single input columns: constant, missing, missing by class, not finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmauto.data.dataset import Dataset
from mmauto.data.leaks import classes_of
from mmauto.data.splits import Splits
from mmauto.findings import Finding

UNEVEN = 0.1
"""Shares of missing samples in two classes that differ by less matter little."""

CHANCE = 0.001
"""Level at which the shares differ by more than chance, over all columns."""

MOST_NAMED = 6
"""Columns that one finding names."""


def column_findings(data: Dataset, splits: Splits) -> Iterator[Finding]:
    """In the order of the columns."""
    yield from _constant(data, splits)
    yield from _missing(data)


def _constant(data: Dataset, splits: Splits) -> Iterator[Finding]:
    for column in data.columns.values():
        if not column.fields:
            continue
        rows = [row for row in column.take(splits.train) if row is not None]
        for name in column.fields:
            known = {row[name] for row in rows if row[name] is not None}
            if len(known) < 2:
                value = f"always {next(iter(known))!r}" if known else "always missing"
                text = f"column {name!r} is {value} in the train rows: it tells nothing"
                yield Finding("constant", text, "kept, without effect")


def _missing(data: Dataset) -> Iterator[Finding]:
    """Shares of missing samples, and whether they depend on the class.

    Columns with the same gaps are named together; those that only have their modality's are not.
    """
    there = {
        f"{key} is" if data.source(key) == (key,) or column.fields
        else f"{key} ({data.source(key)[0]}) is": column.present
        for key, column in data.columns.items()
    }  # fmt: skip
    for column in data.columns.values():
        alike: dict[bytes, list[str]] = {}
        for name in column.fields:
            present = np.array([row is not None and row[name] is not None for row in column])
            if not np.array_equal(present, column.present):
                alike.setdefault(present.tobytes(), []).append(name)
        for gaps, names in alike.items():
            there[_named(names)] = np.frombuffer(gaps, dtype=bool)
    level = CHANCE / max(1, len(there))
    for what, present in there.items():
        if present.all():
            continue
        uneven = None if data.simulated else _by_class(data, present, level)
        share = 1 - present.mean()
        gap = f"{what} missing in {share:.0%} of the rows"
        if uneven is not None:
            yield Finding(
                "missing_by_class",
                f"{gap}, depending on the class: {uneven}",
                "kept; a model may learn from the gap itself, ask why it is there",
                warning=True,
            )
        elif share >= 0.01:
            yield Finding("missing", gap)


def _named(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"column {shown} is" if len(names) == 1 else f"columns {shown}{more} are"


def _by_class(data: Dataset, present: np.ndarray, level: float) -> str | None:
    """The classes with the largest and smallest share, where they differ by more than chance."""
    from scipy.stats import chi2_contingency

    target = next(iter(data.targets.values()))
    if target.kind not in ("binary", "multiclass"):
        return None
    rows, classes = classes_of(target)
    gone = np.bincount(classes, weights=~present[rows])
    total = np.bincount(classes)
    if not 0 < gone.sum() < total.sum():
        return None
    shares = gone / total
    high, low = int(shares.argmax()), int(shares.argmin())
    if shares[high] - shares[low] < UNEVEN:
        return None
    if chi2_contingency(np.stack([gone, total - gone])).pvalue > level:
        return None
    names = {int(k): str(target.values[row]) for row, k in zip(rows, classes, strict=True)}
    return f"{shares[high]:.0%} of {names[high]!r}, {shares[low]:.0%} of {names[low]!r}"
