"""Nested cross-validation: rows are dealt once into folds, and each fold is tested by one study.

Study k tests on fold k, validates on the next one and trains on the rest. So every row is tested
once, by models that neither trained nor were chosen on it (Varma and Simon 2006, Bias in error
estimation when using cross-validation for model selection).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from mmauto.data.dataset import Dataset
from mmauto.data.dealing import deal
from mmauto.data.labels import sorted_classes
from mmauto.data.splits import SIDES, Splits, group_names, split_by, strata
from mmauto.errors import ConfigError, DataError

CHOSEN = ("binary", "multiclass")
"""Kinds whose classes depend on the rows that are looked at, and must all be in every fold."""


def fold_splits(dataset: Dataset, seed: int, folds: int, fold: int) -> Splits:
    """The rows of one fold's study.

    Args:
        fold: from 1; it is tested, and the next one (the first after the last) validates.

    Raises:
        ConfigError: the data has a split of its own.
        DataError: there are fewer rows or groups, in all or of a class, than folds.
    """
    if dataset.split is not None:
        raise ConfigError(
            f"folds deal every row anew, --folds {folds} was given and the data has a "
            'split column; leave --folds out, or use --split "" to have the column ignored'
        )

    def cut(labelled: Dataset) -> tuple[np.ndarray, list[str]]:
        dealt = deal_folds(labelled, seed, folds)
        side = np.full(len(labelled), SIDES.index("train"))
        side[dealt == fold - 1] = SIDES.index("test")
        side[dealt == fold % folds] = SIDES.index("valid")
        return side, []

    return split_by(dataset, cut)


def deal_folds(dataset: Dataset, seed: int, folds: int) -> np.ndarray:
    """``(N,)`` the fold of each row, from 0: even in classes and rows, whole groups together.

    It does not depend on the order of the rows.

    Raises:
        DataError: as `fold_splits`.
    """
    names, classes = group_names(dataset), strata(dataset)
    unit = "rows" if dataset.groups is None else "groups"
    _refuse_few(len(set(names)), f"{unit} in all", dataset, folds)
    primary = next(iter(dataset.targets.values()))
    if primary.kind in CHOSEN:
        pairs = set(zip(classes, names, strict=True))
        counts: Counter[Hashable] = Counter(c for c, _ in pairs if c is not None)
        rarest = min(counts, key=lambda c: (counts[c], str(c)))
        _refuse_few(counts[rarest], f"{unit} of {primary.name} = {rarest!r}", dataset, folds)
    return deal(classes, names, [1 / folds] * folds, seed)


def _refuse_few(count: int, what: str, dataset: Dataset, folds: int) -> None:
    if count < folds:
        raise DataError(
            f"every fold needs rows of every class to test, {dataset.name!r} has {count} {what} "
            f"for --folds {folds}; use fewer folds, add rows, or merge rare classes"
        )


def declared(dataset: Dataset) -> Dataset:
    """The data with its classes named, so that they are the same whatever rows train."""
    targets = {
        name: replace(
            target,
            classes=target.classes or sorted_classes(v for v in target.values if v is not None),
        )
        if target.kind in CHOSEN
        else target
        for name, target in dataset.targets.items()
    }
    return replace(dataset, targets=targets)
