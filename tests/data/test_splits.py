from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmauto.data.columns import TabularValues, Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits, fingerprint, make_splits
from mmauto.errors import ConfigError, DataError
from mmauto.values import Kind

SHARES = np.array([0.7, 0.15, 0.15])


def dataset(
    labels: Sequence[Any] | np.ndarray,
    kind: Kind = "multiclass",
    groups: Sequence[Any] | None = None,
    split: Sequence[str] | None = None,
    ids: Sequence[Any] | None = None,
) -> Dataset:
    classes = kind in ("binary", "multiclass")
    values = np.array(labels, dtype=object) if classes else np.asarray(labels, dtype=float)
    return Dataset(
        "d",
        {"text": Texts([f"t{row}" for row in range(len(values))])},
        {"y": TargetColumn("y", kind, values)},
        np.array([str(i) for i in (range(len(values)) if ids is None else ids)], dtype=object),
        groups=None if groups is None else np.array([str(g) for g in groups], dtype=object),
        split=None if split is None else np.array(split, dtype=object),
    )


def sides_of(splits: Splits, rows: int) -> np.ndarray:
    """(N,) of 0, 1, 2; also checks that the sides are disjoint and cover all rows."""
    joined = np.concatenate([splits.train, splits.valid, splits.test])
    assert sorted(joined) == list(range(rows))
    side = np.empty(rows, dtype=int)
    for number, part in enumerate(splits.sides().values()):
        assert (np.diff(part) > 0).all()
        side[part] = number
    return side


def counts(side: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.bincount(side[chosen], minlength=3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    labels=st.lists(st.integers(0, 4), min_size=10, max_size=120),
    seed=st.integers(0, 5),
)
def test_each_class_stands_on_every_side_in_its_share(labels: list[int], seed: int) -> None:
    values = np.array([f"c{label}" for label in labels])
    data = dataset(values.tolist())
    side = sides_of(make_splits(data, seed), len(data))
    for name in set(labels):
        rows = values == f"c{name}"
        found = counts(side, rows)
        assert found[0] >= 1
        if rows.sum() >= 3:
            assert found.min() >= 1
        if rows.sum() >= 10:
            # within one row of the exact share, two where the total has to be kept
            assert np.abs(found - SHARES * rows.sum()).max() < 2
    # a class of three rows has one on each side, 1.1 away from its share of train
    off = np.abs(np.bincount(side, minlength=3) - SHARES * len(data)).max()
    assert off <= 1 + 1.1 * len(set(labels))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 2)), min_size=60, max_size=150),
    seed=st.integers(0, 5),
)
def test_no_group_stands_on_two_sides(rows: list[tuple[int, int]], seed: int) -> None:
    groups, labels = np.array(rows).T
    data = dataset([f"c{label}" for label in labels], groups=groups.tolist())
    assume(len(set(groups.tolist())) >= 12)
    side = sides_of(make_splits(data, seed), len(data))
    for group in set(groups.tolist()):
        assert len(set(side[groups == group])) == 1
    for label in set(labels.tolist()):
        assert 0 in side[labels == label]


def test_groups_are_stratified_and_keep_the_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), rng.integers(1, 5, 300))
    base = rng.choice(["a", "b", "c"], 300, p=[0.7, 0.25, 0.05])
    labels = base[groups]
    data = dataset(labels.tolist(), groups=groups.tolist())
    side = sides_of(make_splits(data, 0), len(data))
    assert np.abs(np.bincount(side) / len(data) - SHARES).max() < 0.01
    for name in "abc":
        share = counts(side, labels == name) / (labels == name).sum()
        assert np.abs(share - SHARES).max() < 0.04


def test_every_class_is_covered_wherever_brute_force_finds_a_way() -> None:
    rng = np.random.default_rng(0)
    checked = 0
    for trial in range(60):
        number = int(rng.integers(6, 9))
        groups = np.concatenate([np.arange(number), rng.integers(0, number, 20)])
        labels = rng.choice(["a", "b", "c"], len(groups), p=[0.6, 0.25, 0.15])
        held = np.array([[(labels[groups == g] == c).any() for c in "abc"] for g in range(number)])
        enough = held.sum(0) >= 3
        ways = np.stack(np.meshgrid(*[range(3)] * number), -1).reshape(-1, number)
        covers = np.all([((ways == s) @ held > 0)[:, enough].all(1) for s in range(3)], axis=0)
        side = sides_of(
            make_splits(dataset(labels.tolist(), groups=groups.tolist()), trial), len(groups)
        )
        for name, fits in zip("abc", enough, strict=True):
            if fits and covers.any():
                assert counts(side, labels == name).min() >= 1
                checked += 1
    assert checked > 50


def test_a_seed_decides_and_the_order_of_rows_does_not() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice(["a", "b", "c"], 200)
    groups = rng.integers(0, 60, 200)
    order = rng.permutation(200)
    for use in (None, groups):
        data = dataset(labels.tolist(), groups=None if use is None else use.tolist())
        mixed = dataset(
            labels[order].tolist(),
            groups=None if use is None else use[order].tolist(),
            ids=order.tolist(),
        )
        side = sides_of(make_splits(data, 3), 200)
        np.random.seed(0)  # nothing global matters
        assert (side == sides_of(make_splits(data, 3), 200)).all()
        assert (side[order] == sides_of(make_splits(mixed, 3), 200)).all()
        assert (side != sides_of(make_splits(data, 4), 200)).any()


def test_numbers_are_cut_by_quantiles() -> None:
    values = np.random.default_rng(0).lognormal(size=400)
    values[:40] = np.nan
    side = sides_of(make_splits(dataset(values, "regression"), 0), 400)
    top = values > np.nanquantile(values, 0.9)
    assert np.abs(counts(side, top) - SHARES * top.sum()).max() < 2
    assert (side[:40] == 0).all()  # rows without a label can only be trained on


def test_rows_without_a_label_keep_away_from_groups_that_are_held_out() -> None:
    values = np.random.default_rng(0).normal(size=300)
    values[::3] = np.nan
    data = dataset(values, "regression", groups=[row // 6 for row in range(300)])
    splits = make_splits(data, 0)
    held = {row // 6 for row in [*splits.valid, *splits.test]}
    assert not held & {row // 6 for row in splits.train}
    assert not np.isnan(values[splits.valid]).any()
    assert np.isnan(values[splits.train]).any()


def test_labels_are_cut_by_the_rarest() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random((300, 3)) < [0.8, 0.4, 0.03]).astype(float)
    values[0] = np.nan
    side = sides_of(make_splits(dataset(values, "multilabel"), 0), 300)
    rare = values[:, 2] == 1
    assert counts(side, rare).min() >= 1
    assert np.abs(counts(side, rare) - SHARES * rare.sum()).max() < 2


def test_other_shares() -> None:
    splits = make_splits(dataset(["a", "b"] * 50), 0, (0.5, 0.2, 0.3))
    assert [len(rows) for rows in splits.sides().values()] == [50, 20, 30]


def test_a_given_split_is_kept() -> None:
    split = ["train"] * 6 + ["valid"] * 2 + ["test"] * 4
    splits = make_splits(dataset(["a", "b"] * 6, split=split), 0)
    assert splits.train.tolist() == [*range(6)]
    assert splits.valid.tolist() == [6, 7]
    assert splits.test.tolist() == [8, 9, 10, 11]
    assert splits.notes == ()


def test_missing_validation_rows_are_cut_from_train() -> None:
    split = ["train"] * 85 + ["test"] * 15
    groups = [row // 2 for row in range(100)]
    data = dataset(["a", "b"] * 50, groups=groups, split=split)
    splits = make_splits(data, 0)
    assert splits.test.tolist() == [*range(85, 100)]
    assert abs(len(splits.valid) - 15) <= 1
    assert splits.notes[0] == (
        f"the given split has no validation rows: {len(splits.valid)} of 85 train rows were cut "
        "for it"
    )
    assert not {groups[row] for row in splits.valid} & {groups[row] for row in splits.train}


def test_groups_torn_by_a_given_split_are_noted() -> None:
    split = ["train"] * 6 + ["valid"] * 2 + ["test"] * 4
    groups = ["p", "q", "r", "s", "t", "u", "p", "q", "r", "s", "v", "v"]
    assert make_splits(dataset(["a", "b"] * 6, groups=groups, split=split), 0).notes == (
        "the given split puts rows of one group on several sides, so scores may be too good: "
        "4 of 7 groups ('p', 'q', 'r' ...)",
    )


def refused(data: Dataset, **arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        make_splits(data, 0, **arguments)
    return str(caught.value)


def test_too_few_rows_or_groups() -> None:
    assert refused(dataset(["a", "b", "a"])) == (
        "a study needs at least 10 labelled rows, 'd' has 3; add rows"
    )
    assert refused(dataset(["a", "b"] * 5, groups=[0, 1] * 5)) == (
        "train, valid and test need a group each, 'd' has 2 in all; add groups, or name no group "
        "column"
    )


def test_a_given_split_without_train_or_test() -> None:
    labels = ["a", "b"] * 5
    assert refused(dataset(labels, split=["train"] * 8 + ["valid"] * 2)) == (
        "a given split needs train and test rows, that of 'd' has train 8, valid 2, test 0; mark "
        "some rows test, or name no split column (an empty name) to have all sides cut"
    )
    assert "mark some rows train" in refused(dataset(labels, split=["valid"] * 5 + ["test"] * 5))
    one = dataset(labels, groups=[1] * 8 + [2] * 2, split=["train"] * 8 + ["test"] * 2)
    assert refused(one) == (
        "validation rows are cut from train by group, train of 'd' has one group; mark some rows "
        "valid, or name no group column"
    )


def test_a_side_without_labels() -> None:
    labels = ["a", "b"] * 4 + [None] * 4
    split = ["train"] * 6 + ["valid"] * 2 + ["test"] * 4
    data = dataset(labels, split=split)
    other = TargetColumn("z", "regression", np.arange(12.0))
    assert refused(replace(data, targets={**data.targets, "z": other})) == (
        "every side of a split needs a row with a label, the test rows of 'd' have none of 'y'; "
        "add labelled rows or groups"
    )


@pytest.mark.parametrize("shares", [(0.7, 0.3, 0.0), (0.5, 0.2, 0.2)])
def test_impossible_shares(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="the shares of train, valid and test are positive and"):
        make_splits(dataset(["a", "b"] * 5), 0, shares)


def test_a_fingerprint_follows_everything_that_a_result_depends_on() -> None:
    data = dataset(["a", "b"] * 10)
    splits = make_splits(data, 0)
    labels = data.targets["y"]
    other = np.array(["b", "a"] * 10, dtype=object)
    ages = TabularValues({"age": np.arange(20.0)}, {"age": "numeric"})
    changed = [
        (data, splits),
        (data, make_splits(data, 1)),
        (replace(data, ids=data.ids[::-1]), splits),
        (replace(data, groups=data.ids), splits),
        (replace(data, targets={"y": replace(labels, values=other)}), splits),
        (replace(data, targets={"y": replace(labels, classes=("b", "a"))}), splits),
        (replace(data, targets={"z": replace(labels, name="z")}), splits),
        (replace(data, columns={"text": Texts(["t"] * 20)}), splits),
        (replace(data, columns={"body": data.columns["text"]}), splits),
        (replace(data, columns={**data.columns, "tabular": ages}), splits),
    ]
    found = [fingerprint(*pair) for pair in changed]
    assert len(set(found)) == len(found)
    assert fingerprint(dataset(["a", "b"] * 10), splits) == found[0]
