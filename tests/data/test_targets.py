from __future__ import annotations

import numpy as np
import pytest

from mmauto.data.columns import Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits
from mmauto.data.targets import encode_targets
from mmauto.errors import DataError
from mmauto.values import TargetSpec

NAN = np.nan


def dataset(*targets: TargetColumn) -> Dataset:
    rows = len(targets[0].values)
    ids = np.array([str(row) for row in range(rows)], dtype=object)
    return Dataset("d", {"text": Texts(["t"] * rows)}, {t.name: t for t in targets}, ids)


def words(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def first_four_train(rows: int) -> Splits:
    return Splits(np.arange(4), np.arange(4, 5), np.arange(5, rows))


def test_every_kind_in_the_order_of_the_targets() -> None:
    data = dataset(
        TargetColumn("stay", "regression", np.array([1.5, NAN, 2.5, 0, 3, 4])),
        TargetColumn("grade", "multiclass", words("10", "9", "2", None, "9", "2")),
        TargetColumn("urgent", "binary", words("yes", "no", None, "no", "yes", None)),
        TargetColumn(
            "tags",
            "multilabel",
            np.array([[1, 0], [0, 1], [NAN, NAN], [0, 0], [1, 1], [0, 0]]),
            ("x", "y"),
        ),
    )
    specs, arrays, notes = encode_targets(data, first_four_train(6))
    assert list(specs.values()) == [
        TargetSpec("stay", "regression"),
        TargetSpec("grade", "multiclass", ("2", "9", "10")),
        TargetSpec("urgent", "binary", ("no", "yes")),
        TargetSpec("tags", "multilabel", ("x", "y")),
    ]
    assert notes == []
    np.testing.assert_array_equal(arrays["stay"], [1.5, NAN, 2.5, 0, 3, 4])
    assert arrays["grade"].dtype == np.int64
    assert arrays["grade"].tolist() == [2, 1, 0, -1, 1, 0]
    np.testing.assert_array_equal(arrays["urgent"], [1, 0, NAN, 0, 1, NAN])
    np.testing.assert_array_equal(arrays["tags"], data.targets["tags"].values)
    assert {array.dtype for name, array in arrays.items() if name != "grade"} == {np.dtype(float)}


def test_classes_come_from_train_rows_only() -> None:
    target = TargetColumn("y", "multiclass", words("b", "a", "b", "a", "c", "d", "c", "a"))
    specs, arrays, notes = encode_targets(dataset(target), first_four_train(8))
    assert specs["y"].classes == ("a", "b")
    assert arrays["y"].tolist() == [1, 0, 1, 0, -1, -1, -1, 0]
    assert notes == [
        "target 'y': valid rows of classes that no train row has are left out of its scores: "
        "1 ('c' 1×)",
        "target 'y': test rows of classes that no train row has are left out of its scores: "
        "2 ('d' 1×, 'c' 1×)",
    ]


def test_declared_classes_keep_their_order_and_need_no_train_row() -> None:
    target = TargetColumn("y", "multiclass", words("b", "a", "b", "a", "c"), ("c", "b", "a"))
    specs, arrays, notes = encode_targets(dataset(target), first_four_train(5))
    assert specs["y"].classes == ("c", "b", "a")
    assert arrays["y"].tolist() == [1, 2, 1, 2, 0]
    assert notes == []


def refused(target: TargetColumn) -> str:
    with pytest.raises(DataError) as caught:
        encode_targets(dataset(target), first_four_train(len(target.values)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (TargetColumn("y", "binary", words("a", "a", None, "a", "b")), "a"),
        (TargetColumn("y", "binary", words("a", "a", "a", "a", "b"), ("a", "b")), "a"),
        (TargetColumn("y", "binary", words(None, None, None, None, "b")), "no label at all"),
        (TargetColumn("y", "regression", np.array([2.0, NAN, 2.0, 2.0, 3.0])), "2.0"),
    ],
)
def test_one_class_in_train(target: TargetColumn, shown: str) -> None:
    assert refused(target) == (
        "the train rows need two classes or values of a target, those of 'y' in 'd' have one "
        f"({shown}); add train rows of another, or change the split"
    )


def test_labels_outside_the_declared_classes() -> None:
    assert refused(TargetColumn("y", "binary", words("a", "b", "c", "a", "b"), ("a", "b"))) == (
        "target 'y' of 'd' has the classes a, b, a label says 'c'; correct the label or declare "
        "the class"
    )
