from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmauto.data.checks import keep_twins_together
from mmauto.data.columns import Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.duplicates import find_twins
from mmauto.data.folds import deal_folds, declared, fold_splits
from mmauto.data.targets import encode_targets
from mmauto.errors import ConfigError, DataError
from mmauto.values import Kind


def dataset(
    labels: Sequence[Any] | np.ndarray,
    kind: Kind = "binary",
    groups: Sequence[Any] | np.ndarray | None = None,
    texts: Sequence[str] | None = None,
) -> Dataset:
    classes = kind in ("binary", "multiclass")
    values = np.array(labels, dtype=object) if classes else np.asarray(labels, dtype=float)
    rows = len(values)
    return Dataset(
        "d",
        {"text": Texts(texts or [f"words of row number {row} and more" for row in range(rows)])},
        {"y": TargetColumn("y", kind, values)},
        np.array([f"r{row}" for row in range(rows)], dtype=object),
        groups=None if groups is None else np.array([str(g) for g in groups], dtype=object),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=20, max_size=90),
    folds=st.integers(3, 6),
    seed=st.integers(0, 3),
)
def test_each_row_is_tested_once_and_classes_are_even(
    labels: list[str], folds: int, seed: int
) -> None:
    assume(min(Counter(labels).values()) >= folds)
    data = dataset(labels, "multiclass")
    tested = []
    for fold in range(1, folds + 1):
        splits = fold_splits(data, seed, folds, fold)
        sides = [set(rows.tolist()) for rows in splits.sides().values()]
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(labels)
        tested += splits.test.tolist()
        for name, count in Counter(labels).items():
            here = sum(labels[row] == name for row in splits.test)
            assert abs(here - count / folds) <= 1
    assert sorted(tested) == list(range(len(labels)))


def test_the_next_fold_validates() -> None:
    data = dataset(list("ab") * 15)
    parts = [fold_splits(data, 0, 3, fold) for fold in (1, 2, 3)]
    for part, after in zip(parts, [*parts[1:], parts[0]], strict=True):
        assert part.valid.tolist() == after.test.tolist()


def test_groups_stand_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 25, 120)
    data = dataset(rng.choice(["a", "b"], 120), groups=groups)
    dealt = deal_folds(data, 0, 4)
    assert all(len(set(dealt[groups == group])) == 1 for group in set(groups))
    assert np.bincount(dealt).min() >= 20


def test_twins_stand_in_one_fold() -> None:
    texts = [f"the very same note number {row % 30} here" for row in range(40)]
    data = dataset(list("ab") * 20, texts=texts)
    # one column alone is compared as whole rows
    data = keep_twins_together(data, find_twins(data))
    dealt = deal_folds(data, 0, 3)
    assert dealt[:10].tolist() == dealt[30:].tolist()


def test_the_order_of_the_rows_does_not_matter() -> None:
    data = dataset(list("aab") * 12)
    order = np.random.default_rng(0).permutation(len(data))
    assert deal_folds(data, 3, 4)[order].tolist() == deal_folds(data.take(order), 3, 4).tolist()
    assert deal_folds(data, 3, 4).tolist() != deal_folds(data, 4, 4).tolist()


def test_a_number_is_dealt_by_its_size() -> None:
    values = np.random.default_rng(0).gamma(1.0, 10.0, 200)
    dealt = deal_folds(dataset(values, "regression"), 0, 5)
    means = [values[dealt == fold].mean() for fold in range(5)]
    assert max(means) - min(means) < 0.25 * values.std()


def test_labels_of_a_multilabel_target_are_even() -> None:
    values = (np.random.default_rng(0).random((150, 3)) < (0.5, 0.3, 0.1)).astype(float)
    dealt = deal_folds(dataset(values, "multilabel"), 0, 3)
    rare = [values[dealt == fold, 2].sum() for fold in range(3)]
    assert max(rare) - min(rare) <= 1


def test_rows_without_a_label_only_train() -> None:
    data = dataset([*list("ab") * 12, None, None, None])
    for fold in (1, 2, 3):
        splits = fold_splits(data, 0, 3, fold)
        assert {24, 25, 26} <= set(splits.train.tolist())


def test_classes_are_those_of_all_rows_in_every_fold() -> None:
    data = dataset(list("ab") * 12)
    rare = np.array(["x", "y", "z"] + ["x", "y"] * 10 + ["x"], dtype=object)
    data = replace(data, targets={**data.targets, "z": TargetColumn("z", "multiclass", rare)})
    for fold in (1, 2, 3):
        specs, _, _ = encode_targets(declared(data), fold_splits(data, 0, 3, fold))
        assert specs["z"].classes == ("x", "y", "z")
        assert specs["y"].classes == ("a", "b")


def test_a_split_of_its_own_is_refused() -> None:
    data = replace(dataset(list("ab") * 10), split=np.array(["train"] * 15 + ["test"] * 5))
    with pytest.raises(ConfigError, match=r"--folds 3 was given and the data has a split column"):
        fold_splits(data, 0, 3, 1)


def test_too_few_rows_of_a_class_are_refused_with_their_number() -> None:
    with pytest.raises(DataError, match=r"'d' has 4 rows of y = 'b' for --folds 5; use fewer"):
        fold_splits(dataset(["a"] * 20 + ["b"] * 4), 0, 5, 1)


def test_too_few_groups_are_refused_with_their_number() -> None:
    data = dataset(list("ab") * 10, groups=[row // 5 for row in range(20)])
    with pytest.raises(DataError, match=r"'d' has 4 groups in all for --folds 5"):
        fold_splits(data, 0, 5, 1)
    tied = dataset(["a"] * 18 + ["b"] * 6, groups=[*range(18), 20, 20, 20, 21, 21, 21])
    with pytest.raises(DataError, match=r"'d' has 2 groups of y = 'b' for --folds 3"):
        fold_splits(tied, 0, 3, 1)
