from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mmauto.data.cells import MISSING, clean, numbers, words
from mmauto.errors import DataError


@pytest.mark.parametrize(
    "value", [None, math.nan, np.nan, "", "  ", "\t", " NA ", *sorted(MISSING)]
)
def test_missing_cells(value: Any) -> None:
    assert clean(value) is None


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (" a b ", " a b "),
        (3, "3"),
        (3.0, "3.0"),
        (True, "True"),
        ("no", "no"),
        (["a", 1, None], ("a", "1")),
        ([], ()),
    ],
)
def test_cells_keep_what_was_written(value: Any, cell: Any) -> None:
    assert clean(value) == cell


@pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "an object"), (b"a", "bytes")])
def test_objects_are_refused(value: Any, kind: str) -> None:
    message = f"a cell holds text, a number or a list of labels, not {kind}"
    with pytest.raises(DataError, match=message):
        clean(value)


def test_lists_are_for_targets() -> None:
    message = "only a target may hold lists, column 'a' of t.csv does; join them into one text"
    with pytest.raises(DataError, match=message):
        words(["x", ("a", "b")], "column 'a' of t.csv")


def test_numbers_are_plain_ascii() -> None:
    cells = ["1", "-2.5", "+.5", "1e3", "inf", "-Infinity", "1e999"]
    assert numbers(cells).tolist() == [1, -2.5, 0.5, 1000, math.inf, -math.inf, math.inf]
    assert np.isnan(numbers([None, "1_000", "1,5", "0x1f", "", "a1", "1 2", "٣"])).all()
