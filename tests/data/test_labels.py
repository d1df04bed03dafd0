from __future__ import annotations

import numpy as np
import pytest

from mmauto.data.cells import Cell
from mmauto.data.labels import observed, read_target, sorted_classes
from mmauto.errors import DataError


def refused(cells: list[Cell]) -> str:
    with pytest.raises(DataError) as caught:
        read_target("y", cells, "t.csv")
    return str(caught.value)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["no", "yes", None], "binary", ["no", "yes", None]),
        (["True", "False", " True "], "binary", ["True", "False", "True"]),
        (["0.0", None, "1.0"], "binary", ["0", None, "1"]),
        (["0.5", "1.5", "0.5"], "binary", ["0.5", "1.5", "0.5"]),
        (["01", "02", "02"], "binary", ["01", "02", "02"]),
        (["a", "b", "c"] * 2, "multiclass", ["a", "b", "c"] * 2),
        (["1", "2", "3"] * 5, "multiclass", ["1", "2", "3"] * 5),
        (["1", "2", "x"] * 2, "multiclass", ["1", "2", "x"] * 2),
        (["1.0", "2.0", "3.0"] * 5, "regression", [1.0, 2.0, 3.0] * 5),
        (["1", "2", "3"] * 4, "regression", [1.0, 2.0, 3.0] * 4),
        ([str(number) for number in range(21)] * 5, "regression", [*range(21)] * 5),
        ([str(number) for number in range(20)] * 5, "multiclass", [str(n) for n in range(20)] * 5),
    ],
)
def test_kinds(cells: list[Cell], kind: str, values: list[object]) -> None:
    target, _ = read_target("y", cells, "t.csv", "mae")
    assert (target.name, target.kind, target.metric) == ("y", kind, "mae")
    assert target.values.tolist() == values
    assert target.classes == ()


@pytest.mark.parametrize(
    "cells",
    [["b|a", " a ", "|", None], [("b", "a"), ("a",), (), None], [("b", "a"), "a", "|", None]],
)
def test_multilabel(cells: list[Cell]) -> None:
    target, _ = read_target("y", cells, "t.csv")
    assert (target.kind, target.classes) == ("multilabel", ("a", "b"))
    np.testing.assert_array_equal(target.values, [[1, 1], [1, 0], [0, 0], [np.nan, np.nan]])
    assert observed(target).tolist() == [True, True, True, False]


def test_observed_follows_missing_labels() -> None:
    classes, _ = read_target("y", ["a", None, "b"], "t.csv")
    quantity, _ = read_target("y", ["1.5", None, "2.5", "3"], "t.csv")
    assert observed(classes).tolist() == [True, False, True]
    assert observed(quantity).tolist() == [True, False, True, True]


def test_classes_that_are_numbers_are_sorted_by_value() -> None:
    assert sorted_classes(["10", "9", "9", "-1"]) == ("-1", "9", "10")
    assert sorted_classes(["10", "9", "a"]) == ("10", "9", "a")


def test_infinite_numbers_are_missing_with_a_note() -> None:
    target, notes = read_target("y", ["1.5", "inf", "2.5", "3.5", "-inf"], "t.csv")
    assert notes == ["target 'y': infinite numbers count as missing (2)"]
    np.testing.assert_array_equal(target.values, [1.5, np.nan, 2.5, 3.5, np.nan])


def test_whole_numbers_say_how_they_were_read() -> None:
    assert read_target("y", ["1", "2", "3"] * 5, "t.csv")[1] == [
        "target 'y': its 3 distinct whole numbers are read as classes; write them with a decimal "
        "point to predict a number"
    ]
    assert read_target("y", ["1", "2", "3"], "t.csv")[1] == [
        "target 'y': its whole numbers are read as a quantity; write them as words (e.g. "
        "'grade 3') to predict classes"
    ]
    assert read_target("y", ["0", "1"], "t.csv")[1] == []


def test_useless_targets() -> None:
    assert refused([None, None]) == (
        "a target needs labels, target 'y' of t.csv has none; fill it or name another column"
    )
    for cells, shown in ((["a", None, "a"], "'a'"), (["7"] * 3, "'7'")):
        assert refused([*cells]) == (
            "a target needs at least two classes or values, target 'y' of t.csv has one "
            f"({shown}); add rows of another class or name another column"
        )
    assert "has one (only infinite numbers)" in refused(["inf", "inf"])
    assert refused(["a|a", "a"]) == (
        "a multilabel target needs at least two labels, target 'y' of t.csv has 1; add rows with "
        "other labels or name another column"
    )


def test_words_that_hardly_repeat_are_no_classes() -> None:
    assert refused(["1.5", "2.5", "unknown", "3.5"]) == (
        "the classes of a target must repeat, target 'y' of t.csv has 4 distinct values in 4 rows "
        "(e.g. 'unknown'); name a column of classes, or of numbers only"
    )
