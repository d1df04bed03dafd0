"""Samples that occur twice: equal pictures, nearly equal ones, equal texts, equal rows.

A model that has seen a test picture while training looks better than it is. Where mmauto cuts the
split itself, such rows are kept on one side; a given split is kept as it is and the rows are
counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmauto.data.dataset import Dataset
from mmauto.data.looks import Look

NEAR_BITS = 20
"""Perceptual hashes (256 bits) that differ in so few bits belong to one picture: resized and
recompressed photographs differ in up to 30, most in fewer; different ones in more than 24."""

MOST_COMPARED = 20_000
"""Beyond so many different pictures only equal hashes are found: all pairs would take minutes."""

UNIQUE = 0.5
"""Where fewer texts than this share are different, they repeat by design, like questions."""

WORDS = 5
"""A shorter text may be equal by chance."""


@dataclass(frozen=True)
class Twins:
    """Rows that share a sample.

    Attributes:
        what: e.g. ``"the same picture (image)"``.
        labels: ``(N,)`` a number each; rows with the same one share the sample; -1: nothing to
            share.
        ties: rows that share it belong on one side of a split. The same text beside different
            pictures is another sample.
    """

    what: str
    labels: np.ndarray
    ties: bool = True

    def sets(self) -> Iterator[np.ndarray]:
        """The rows of each sample that occurs more than once."""
        order = np.argsort(self.labels, kind="stable")
        order = order[self.labels[order] >= 0]
        cuts = np.flatnonzero(np.diff(self.labels[order])) + 1
        return (rows for rows in np.split(order, cuts) if len(rows) > 1)

    def rarer(self, most: int) -> Twins:
        """The same without samples in more than ``most`` rows."""
        counts = np.bincount(self.labels + 1)[self.labels + 1]
        return replace(self, labels=np.where(counts > most, -1, self.labels))


def find_twins(data: Dataset) -> list[Twins]:
    """Whole rows, pictures and texts that occur more than once, exact before near."""
    whole, several = whole_rows(data), len(data.columns) > 1
    # rows of one column of pictures are compared as pictures, those of few values repeat by design
    alone = not data.looks and len(set(whole.tolist())) >= UNIQUE * len(data)
    found = [Twins("all inputs", whole)] if several or alone else []
    for key, looks in data.looks.items():
        found.append(Twins(f"the same picture ({key})", _equal_pictures(looks)))
        found.append(Twins(f"nearly the same picture ({key})", _near_pictures(looks)))
    for key, column in data.columns.items():
        if column.modality == "text" and several:
            labels = _equal_texts(list(column))
            if labels is not None:
                found.append(Twins(f"the same text ({key})", labels, ties=False))
    kept: list[Twins] = []
    seen = set()
    for twins in found:
        sets = frozenset(tuple(rows.tolist()) for rows in twins.sets())
        if sets and sets not in seen:  # equal rows have equal pictures: said once
            seen.add(sets)
            kept.append(twins)
    return kept


def whole_rows(data: Dataset) -> np.ndarray:
    """``(N,)`` numbers: equal where all inputs of two rows are equal."""
    parts = []
    for key, column in data.columns.items():
        if key in data.looks:
            parts.append(_equal_pictures(data.looks[key]).tolist())
        elif column.modality == "text":
            parts.append([None if text is None else _plain(text) for text in column])
        elif column.modality == "tabular":
            parts.append([repr(row) for row in column])
        else:
            return np.arange(len(data))  # unknown samples are not compared
    return _numbered(list(zip(*parts, strict=True)))


def joined(groups: np.ndarray | None, rows: int, twins: Sequence[Twins]) -> np.ndarray:
    """``(N,)`` group labels in which twins share one; rows that were apart may be joined."""
    parent = np.arange(rows)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    def join(together: np.ndarray) -> None:
        first = root(int(together[0]))
        for row in together[1:]:
            parent[root(int(row))] = first

    if groups is not None:
        for together in Twins("", _numbered(groups.tolist())).sets():
            join(together)
    for each in twins:
        for together in each.sets() if each.ties else ():
            join(together)
    roots = np.array([root(row) for row in range(rows)])
    if groups is None:
        return np.array([f"row {place + 1}" for place in roots], dtype=object)
    return np.asarray(groups[roots])


def _numbered(values: Sequence[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array(
        [-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values], dtype=np.int64
    )


def _equal_pictures(looks: Sequence[Look | None]) -> np.ndarray:
    return _numbered([look.pixels if look is not None and look.pixels else None for look in looks])


def _near_pictures(looks: Sequence[Look | None]) -> np.ndarray:
    """Equal and nearly equal pictures share a number; plain drawings have no hash to compare."""
    exact = _equal_pictures(looks)
    firsts: dict[int, int] = {}
    for row, look in enumerate(looks):
        if look is not None and look.shape is not None:
            firsts.setdefault(int(exact[row]), row)
    if len(firsts) < 2:
        return np.full(len(looks), -1)
    names = np.array(list(firsts))
    hashes = np.array([looks[row].shape for row in firsts.values()])  # type: ignore[union-attr]
    together = _clusters(hashes)
    cluster = dict(zip(names.tolist(), together.tolist(), strict=True))
    near = np.array([cluster.get(int(name), -1) for name in exact])
    # a cluster of copies of one picture is exact, not near
    several = np.bincount(together) > 1
    return np.where((near >= 0) & several[near], near, -1)


def _clusters(hashes: np.ndarray) -> np.ndarray:
    """``(M, 4)`` uint64 -> ``(M,)`` cluster numbers; single linkage."""
    if len(hashes) > MOST_COMPARED:
        return _numbered([one.tobytes() for one in hashes])
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(hashes), 256):
        block = hashes[start : start + 256, None] ^ hashes[None, start:]
        bits = np.bitwise_count(block).sum(-1, dtype=np.int16)
        here, there = np.nonzero(bits <= NEAR_BITS)
        pairs.append((here + start, there + start))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(hashes),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1])


def _plain(text: str) -> str:
    """Lower case, without accents' variants, punctuation and repeated white space."""
    flat = unicodedata.normalize("NFKC", text).lower()
    return " ".join(re.findall(r"\w+", flat))


def _equal_texts(texts: Sequence[str | None]) -> np.ndarray | None:
    """None where texts repeat by design."""
    plain = [None if text is None else _plain(text) for text in texts]
    known = [text for text in plain if text]
    if not known or len(set(known)) < UNIQUE * len(known):
        return None
    return _numbered(
        [text if text is not None and len(text.split()) >= WORDS else None for text in plain]
    )


def across(twins: Twins, sides: Mapping[str, np.ndarray], rows: int) -> tuple[int, int]:
    """How many samples stand on train and also on another side, and the rows there."""
    train = np.zeros(rows, dtype=bool)
    train[sides["train"]] = True
    samples = spoiled = 0
    for together in twins.sets():
        beyond = ~train[together]
        if beyond.any() and not beyond.all():
            samples += 1
            spoiled += int(beyond.sum())
    return samples, spoiled
