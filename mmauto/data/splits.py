"""Train, validation and test rows: as given, or dealt by class and by group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.dealing import deal
from mmauto.data.labels import observed
from mmauto.errors import ConfigError, DataError

SIDES = ("train", "valid", "test")
Cut: TypeAlias = Callable[[Dataset], tuple[np.ndarray, list[str]]]
"""Labelled rows -> the side of each, ``(N,)`` places in `SIDES`, and notes."""

LEAST_ROWS = 10
MOST_BINS = 10
ROWS_A_BIN = 10


@dataclass(frozen=True, eq=False)
class Splits:
    """Row numbers of each side, ascending; disjoint, and together all rows.

    Attributes:
        notes: sentences about the cut that the user must see.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    def sides(self) -> dict[str, np.ndarray]:
        """The rows by the side's name."""
        return {side: getattr(self, side) for side in SIDES}


def make_splits(
    dataset: Dataset, seed: int, shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
) -> Splits:
    """The given split, or one cut by the primary target and by groups.

    Classes are those of the primary target: quantile bins of a number, the rarest label that is set
    (multilabel). A class in three groups or more gets one on every side if a way is found.

    Raises:
        DataError: fewer than ten rows or three groups, a given split without train or test rows,
            or a side without any label of the primary target.
        ConfigError: the shares are not three positive numbers that sum to 1.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"the shares of train, valid and test are positive and sum to 1, {shares} was given; "
            "give three such numbers"
        )
    cut = _cut if dataset.split is None else _given
    return split_by(dataset, lambda labelled: cut(labelled, seed, shares))


def split_by(dataset: Dataset, cut: Cut) -> Splits:
    """The splits that a cut of the labelled rows makes of all rows.

    Raises:
        DataError: fewer than ten rows, or a side without any label of the primary target.
    """
    if len(dataset) < LEAST_ROWS:
        raise DataError(
            f"a study needs at least {LEAST_ROWS} labelled rows, {dataset.name!r} has "
            f"{len(dataset)}; add rows"
        )
    unlabelled = ~_with_label(dataset)
    if unlabelled.any():
        return _with_unlabelled(dataset, unlabelled, cut)
    side, notes = cut(dataset)
    train, valid, test = (np.flatnonzero(side == number) for number in range(len(SIDES)))
    splits = Splits(train, valid, test, tuple(notes))
    primary = next(iter(dataset.targets.values()))
    labelled = observed(primary)
    for name, rows in splits.sides().items():
        if not labelled[rows].any():
            raise DataError(
                f"every side of a split needs a row with a label, the {name} rows of "
                f"{dataset.name!r} have none of {primary.name!r}; add labelled rows or groups"
            )
    return splits


def _with_label(dataset: Dataset) -> np.ndarray:
    found = np.logical_or.reduce([observed(target) for target in dataset.targets.values()])
    return np.asarray(found)


def _with_unlabelled(dataset: Dataset, unlabelled: np.ndarray, cut: Cut) -> Splits:
    """Labelled rows are split as if they were all; the others train, unless held out by name.

    A row whose group stands in validation or test, or that the given split puts there, is in no
    side.
    """
    rows = np.flatnonzero(~unlabelled)
    splits = split_by(dataset.take(rows), cut)
    kept = {name: rows[side] for name, side in splits.sides().items()}
    names, held = group_names(dataset), np.concatenate([kept["valid"], kept["test"]])
    out = {names[row] for row in held}
    free = [
        row
        for row in np.flatnonzero(unlabelled)
        if names[row] not in out and (dataset.split is None or dataset.split[row] == "train")
    ]
    train = np.sort(np.concatenate([kept["train"], np.array(free, dtype=int)]))
    return Splits(train, kept["valid"], kept["test"], splits.notes)


def fingerprint(dataset: Dataset, splits: Splits) -> str:
    """A SHA-256 over columns, ids, groups, targets and splits: what a study may be resumed on."""
    total = hashlib.sha256()

    def add(*parts: object) -> None:
        total.update(repr(parts).encode())

    for key, column in dataset.columns.items():
        add("column", key, column.digest())
    add("ids", dataset.ids.tolist())
    add("groups", None if dataset.groups is None else dataset.groups.tolist())
    for target in dataset.targets.values():
        add("target", target.name, target.kind, target.classes, target.values.tolist())
    for name, rows in splits.sides().items():
        add("split", name, rows.tolist())
    return total.hexdigest()


def _cut(dataset: Dataset, seed: int, shares: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    names = group_names(dataset)
    if len(set(names)) < 3:
        raise DataError(
            f"train, valid and test need a group each, {dataset.name!r} has {len(set(names))} in "
            "all; add groups, or name no group column"
        )
    return deal(strata(dataset), names, shares, seed), []


def _given(dataset: Dataset, seed: int, shares: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    assert dataset.split is not None
    side = np.array([SIDES.index(value) for value in dataset.split])
    counts = Counter(dataset.split.tolist())
    if not (counts["train"] and counts["test"]):
        found = ", ".join(f"{name} {counts[name]}" for name in SIDES)
        lacking = "test" if counts["train"] else "train"
        raise DataError(
            f"a given split needs train and test rows, that of {dataset.name!r} has {found}; mark "
            f"some rows {lacking}, or name no split column (an empty name) to have all sides cut"
        )
    notes = []
    if not counts["valid"]:
        train = np.flatnonzero(side == 0)
        names = [group_names(dataset)[row] for row in train]
        if len(set(names)) < 2:
            raise DataError(
                f"validation rows are cut from train by group, train of {dataset.name!r} has one "
                "group; mark some rows valid, or name no group column"
            )
        part = deal([strata(dataset)[row] for row in train], names, shares[:2], seed)
        side[train] = part
        notes.append(
            f"the given split has no validation rows: {part.sum()} of {len(train)} train rows "
            "were cut for it"
        )
    return side, notes + _torn(dataset, side)


def _torn(dataset: Dataset, side: np.ndarray) -> list[str]:
    """A note on groups that stand on several sides of a given split."""
    if dataset.groups is None:
        return []
    where: dict[str, set[int]] = {}
    for group, number in zip(dataset.groups, side, strict=True):
        where.setdefault(group, set()).add(int(number))
    torn = [group for group, sides in where.items() if len(sides) > 1]
    if not torn:
        return []
    shown = ", ".join(repr(group) for group in torn[:3]) + (" ..." if len(torn) > 3 else "")
    return [
        "the given split puts rows of one group on several sides, so scores may be too good: "
        f"{len(torn)} of {len(where)} groups ({shown})"
    ]


def group_names(dataset: Dataset) -> list[str]:
    """What each row stands together with: its group, or itself."""
    return [str(name) for name in (dataset.ids if dataset.groups is None else dataset.groups)]


def strata(dataset: Dataset) -> list[Hashable]:
    """The class of each row that a cut keeps in proportion; None where it has no label.

    Quantile bins of a number, the rarest label that is set (multilabel).
    """
    target = next(iter(dataset.targets.values()))
    if target.kind == "regression":
        return _bins(target)
    if target.kind == "multilabel":
        counts = np.nansum(target.values, axis=0)
        return [
            None if np.isnan(row).any() else _rarest(np.flatnonzero(row), counts)
            for row in target.values
        ]
    return list(target.values)


def _bins(target: TargetColumn) -> list[Hashable]:
    known = target.values[~np.isnan(target.values)]
    bins = max(1, min(MOST_BINS, len(known) // ROWS_A_BIN))
    edges = np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]) if len(known) else []
    places = np.searchsorted(edges, target.values)
    return [
        None if np.isnan(value) else int(place)
        for value, place in zip(target.values, places, strict=True)
    ]


def _rarest(labels: np.ndarray, counts: np.ndarray) -> int:
    return int(min(labels, key=lambda label: counts[label], default=-1))
