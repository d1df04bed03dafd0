"""Train, validation and test rows: as given, or cut by class and by group.

The cut deals whole groups (a row without a group is one of its own) to the sides. First every class
gets a group on each side (`_Sides.cover`); then each group, largest first, goes to the side that
Webster's rule of apportionment prefers: the one that is emptiest, for the classes in the group and
for rows in all, relative to its share. It follows iterative stratification (Sechidis et al. 2011).
Ties are broken by a hash of seed and group, so the cut does not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.labels import observed
from mmauto.errors import ConfigError, DataError

SIDES = ("train", "valid", "test")
LEAST_ROWS = 10
MOST_BINS = 10
ROWS_A_BIN = 10
ATTEMPTS = 10
"""Where classes share few groups, an unlucky order may leave one without a side: try others."""


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
    if len(dataset) < LEAST_ROWS:
        raise DataError(
            f"a study needs at least {LEAST_ROWS} labelled rows, {dataset.name!r} has "
            f"{len(dataset)}; add rows"
        )
    unlabelled = ~_with_label(dataset)
    if unlabelled.any():
        return _with_unlabelled(dataset, unlabelled, seed, shares)
    cut = _cut if dataset.split is None else _given
    side, notes = cut(dataset, seed, shares)
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


def _with_unlabelled(
    dataset: Dataset, unlabelled: np.ndarray, seed: int, shares: tuple[float, float, float]
) -> Splits:
    """Labelled rows are split as if they were all; the others train, unless held out by name.

    A row whose group stands in validation or test, or that the given split puts there, is in no
    side.
    """
    rows = np.flatnonzero(~unlabelled)
    splits = make_splits(dataset.take(rows), seed, shares)
    kept = {name: rows[side] for name, side in splits.sides().items()}
    names, held = _groups(dataset), np.concatenate([kept["valid"], kept["test"]])
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
    names = _groups(dataset)
    if len(set(names)) < 3:
        raise DataError(
            f"train, valid and test need a group each, {dataset.name!r} has {len(set(names))} in "
            "all; add groups, or name no group column"
        )
    return _deal(_strata(dataset), names, shares, seed), []


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
        names = [_groups(dataset)[row] for row in train]
        if len(set(names)) < 2:
            raise DataError(
                f"validation rows are cut from train by group, train of {dataset.name!r} has one "
                "group; mark some rows valid, or name no group column"
            )
        part = _deal([_strata(dataset)[row] for row in train], names, shares[:2], seed)
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


def _groups(dataset: Dataset) -> list[str]:
    return [str(name) for name in (dataset.ids if dataset.groups is None else dataset.groups)]


def _strata(dataset: Dataset) -> list[Hashable]:
    """The class of each row that a cut keeps in proportion; None where it has no label."""
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


def _deal(
    strata: Sequence[Hashable], names: Sequence[str], shares: Sequence[float], seed: int
) -> np.ndarray:
    """The side of each row, ``(N,)``; rows of one name stay together."""
    content: dict[str, Counter[Hashable]] = {}
    for stratum, name in zip(strata, names, strict=True):
        content.setdefault(name, Counter())[stratum] += 1

    for attempt in range(ATTEMPTS):
        table = _Sides(content, shares)
        table.deal(
            sorted(content, key=lambda name: _rank(content[name].total(), name, seed, attempt))
        )
        if table.covered():
            break
    return np.array([table.side[name] for name in names])


def _rank(rows: int, name: str, seed: int, attempt: int) -> tuple[int, bytes]:
    """Larger groups first, ties by seed; later attempts take any order."""
    return -rows if attempt == 0 else 0, hashlib.blake2b(
        f"{seed}:{attempt}:{name}".encode(), digest_size=8
    ).digest()


class _Sides:
    """Groups dealt so far: ``held[class][side]`` rows, against ``due``, the share of each side."""

    def __init__(self, content: Mapping[str, Counter[Hashable]], shares: Sequence[float]):
        self.content = content
        self.side: dict[str, int] = {}
        totals: Counter[Hashable] = Counter()
        for classes in content.values():
            totals.update(classes)
        whole = sum(shares)
        self.shares = [share / whole for share in shares]
        self.due = {c: [n * share for share in self.shares] for c, n in totals.items()}
        self.held = {c: [0] * len(shares) for c in totals}
        self.all_due = [totals.total() * share for share in self.shares]
        self.all_held = [0] * len(shares)

    def deal(self, order: Sequence[str]) -> None:
        """Every group to a side."""
        self.cover(order)
        for name in order:
            if name not in self.side:
                self.put(name, self.emptiest(name))

    def put(self, name: str, side: int) -> None:
        """Deal one group."""
        self.side[name] = side
        for stratum, rows in self.content[name].items():
            self.held[stratum][side] += rows
            self.all_held[side] += rows

    def cover(self, order: Sequence[str]) -> None:
        """A group of every class on each side, rarest class first.

        Train takes a class's largest group, the other sides its smallest; a class in too few
        groups is at least known to train.
        """
        holders: dict[Hashable, list[str]] = {stratum: [] for stratum in self.due}
        for name in order:
            for stratum in self.content[name]:
                holders[stratum].append(name)
        for stratum, names in sorted(holders.items(), key=lambda item: (len(item[1]), item[1])):
            for side in range(len(self.shares) if len(names) >= len(self.shares) else 1):
                wanted = names[::-1] if side else names
                free = next((name for name in wanted if name not in self.side), None)
                if free is not None and not self.held[stratum][side]:
                    self.put(free, side)

    def covered(self) -> bool:
        """Every class that has enough groups stands on each side."""
        groups = Counter(stratum for classes in self.content.values() for stratum in classes)
        return all(min(held) > 0 for c, held in self.held.items() if groups[c] >= len(self.shares))

    def emptiest(self, name: str) -> int:
        """The side that Webster's rule prefers: least (2 held + rows) / due, weighted by rows."""
        classes = self.content[name]
        rows = classes.total()

        def fullness(side: int) -> float:
            mine = sum(
                n * (2 * self.held[c][side] + n) / self.due[c][side] for c, n in classes.items()
            )
            return mine + rows * (2 * self.all_held[side] + rows) / self.all_due[side]

        return min(range(len(self.shares)), key=fullness)
