"""Blocks as HTML: JSON that no text breaks out of, numbers as people write them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mmauto.plugin import Table
from mmauto.report.blocks import render_block, safe_json, shown


@pytest.mark.parametrize("text", ["</script>", "<!--", "<!-- <script>", "a & b", "\u2028", "漢"])
def test_json_survives_inside_a_script_element(text: str) -> None:
    written = safe_json({"a": [text]})
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"a": [text]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_what_json_cannot_hold_becomes_null(value: float) -> None:
    assert json.loads(safe_json({"y": [1.5, value]})) == {"y": [1.5, None]}


def test_numpy_values_become_plain() -> None:
    given = {"a": np.arange(3), "b": np.float32(0.5), "c": (np.array([1.0, np.nan]), np.bool_(1))}
    assert json.loads(safe_json(given)) == {"a": [0, 1, 2], "b": 0.5, "c": [[1.0, None], True]}


def test_a_column_shows_one_number_of_decimals() -> None:
    html = render_block(Table(("s",), [(9.1,), (44.84,), (None,), (float("nan"),)]), "t")
    assert re.findall(r"<td[^>]*>([^<]*)</td>", html) == ["9.1", "44.8", "–", "–"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [(1234567, "1,234,567"), (0.12345, "0.123"), (None, "–"), (True, "yes"), ("a", "a")],
)
def test_cells_read_as_people_write_them(cell, text: str) -> None:
    assert shown(cell) == text


def test_sorting_knows_the_exact_number_and_no_number_of_a_dash() -> None:
    rows = [(np.float64(0.123456),), (3,), (None,), (float("nan"),)]
    html = render_block(Table(("n",), rows, sortable=True), "t")
    assert re.findall(r'data-sort="([^"]*)"', html) == ["0.123456", "3.0"]


def test_a_table_sorts_only_where_it_says_so() -> None:
    assert "<button" in render_block(Table(("n",), [(1,)], sortable=True), "t")
    assert "<button" not in render_block(Table(("n",), [(1,)]), "t")
