"""Whole groups dealt to sides: train, validation and test, or folds.

A row without a group is one of its own. First every class gets a group on each side
(`_Sides.cover`); then each group, largest first, goes to the side that Webster's rule of
apportionment prefers: the one that is emptiest, for the classes in the group and for rows in all,
relative to its share. It follows iterative stratification (Sechidis et al. 2011). Ties are broken
by a hash of seed and group, so the result does not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

ATTEMPTS = 10
"""Where classes share few groups, an unlucky order may leave one without a side: try others."""


def deal(
    classes: Sequence[Hashable], names: Sequence[str], shares: Sequence[float], seed: int
) -> np.ndarray:
    """The side of each row, ``(N,)``; rows of one name stay together."""
    content: dict[str, Counter[Hashable]] = {}
    for stratum, name in zip(classes, names, strict=True):
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
