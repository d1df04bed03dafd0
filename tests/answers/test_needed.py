"""Sample sizes agree with the textbook's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmauto.answers.needed import detectable, rows_needed
from mmauto.views import Interval


def around(value: float, error: float) -> Interval:
    return Interval(value, value - 1.96 * error, value + 1.96 * error)


def test_a_gain_of_the_detectable_size_is_found_four_times_out_of_five() -> None:
    size = detectable(around(0.0, 0.02))
    source = np.random.default_rng(0)
    seen = source.normal(size, 0.02, 20_000)
    assert (np.abs(seen) > 1.96 * 0.02).mean() == pytest.approx(0.8, abs=0.01)


def test_rows_grow_with_the_square_of_what_is_missing() -> None:
    # 2.802 standard errors of 0.02 are 0.056, twice what was seen: four times the rows
    assert rows_needed(around(0.028, 0.02), 100) == pytest.approx(400, abs=10)
    assert rows_needed(around(-0.028, 0.02), 100) == rows_needed(around(0.028, 0.02), 100)


def test_there_is_no_advice_without_a_difference_or_beyond_reason() -> None:
    assert rows_needed(around(0.0, 0.02), 100) is None
    assert rows_needed(around(1e-6, 0.02), 100) is None
    assert rows_needed(Interval(0.1, math.nan, math.nan), 100) is None


def test_never_fewer_rows_than_there_are() -> None:
    assert rows_needed(around(0.5, 0.02), 100) == 100
