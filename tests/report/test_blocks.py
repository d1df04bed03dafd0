"""Blocks as HTML: JSON that no text breaks out of, numbers as people write them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mmauto.blocks import unfolded
from mmauto.plugin import Code, Figure, Fold, Headline, KeyNumber, Table, Text
from mmauto.report.blocks import render_block, safe_json, shown
from mmauto.report.thin import thinned


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
    assert '<th scope="col" class="number"><button' in render_block(
        Table(("n",), [(1,)], sortable=True), "t"
    )
    assert '<th scope="col" class="number">n</th>' in render_block(Table(("n",), [(1,)]), "t")


def test_only_a_long_sortable_table_has_a_box_that_filters() -> None:
    def html(rows: int, sortable: bool) -> str:
        return render_block(Table(("n",), [(row,) for row in range(rows)], sortable=sortable), "t")

    assert 'type="search"' in html(20, sortable=True)
    assert 'type="search"' not in html(20, sortable=False)
    assert 'type="search"' not in html(3, sortable=True)


def test_a_p_value_is_never_written_as_zero() -> None:
    assert (shown(0.0001), shown(0.0006), shown(0.0)) == ("< 0.001", "0.001", "0.000")


def test_a_headline_says_its_tone_in_words_and_escapes_them() -> None:
    number = KeyNumber("<b>gain</b>", "+0.1", "p < 0.05")
    html = render_block(Headline("Fusion <helps>", "good", [number]), "v")
    assert '<div class="headline good">' in html
    assert "Fusion &lt;helps&gt;" in html
    assert "&lt;b&gt;gain&lt;/b&gt;" in html
    assert "p &lt; 0.05" in html
    assert "<dl>" not in render_block(Headline("Nothing", "open"), "v")


def test_long_text_is_folded_under_its_caption_and_short_text_is_not() -> None:
    folded = render_block(Code("\n".join("abcdefghijklmnopqrst"), "The file:"), "c")
    assert "<summary>The file: <small>20 lines</small></summary>" in folded
    assert "<details" not in render_block(Code("one line", "The file:"), "c")


def test_a_fold_shows_its_title_and_holds_its_blocks_under_names_of_their_own() -> None:
    inner = Fold("<b>in</b>", [Table(("a",), [[1]], "c"), Table(("b",), [[2]], "d")])
    page = render_block(Fold("more & more", [Text("first"), inner]), "x-3")
    assert page.startswith('<details class="fold"><summary>more &amp; more</summary><p>first</p>')
    assert "<summary>&lt;b&gt;in&lt;/b&gt;</summary>" in page
    assert [name in page for name in ("x-3-1-0", "x-3-1-1")] == [True, True]
    assert [b.text for b in unfolded([Text("0"), Fold("t", [Text("1")])])] == ["0", "1"]


def test_a_figure_of_many_points_is_thinned_and_says_so() -> None:
    many = list(range(25_000))
    trace = {"x": many, "y": many, "marker": {"color": many}, "error_y": {"array": many}}
    html = render_block(Figure([trace], {}, "How to read it.", "what"), "f")
    assert "How to read it. Of 25,000 points about 10,000 are drawn, evenly chosen." in html
    body = json.loads(re.search(r"<script[^>]*>(.*?)</script>", html)[1])
    drawn = body["data"][0]
    assert len(drawn["x"]) == 10_000
    assert drawn["x"] == drawn["y"] == drawn["marker"]["color"] == drawn["error_y"]["array"]
    assert (drawn["x"][0], drawn["x"][-1]) == (0, 24_999)
    steps = np.diff(drawn["x"])
    assert set(steps.tolist()) == {2, 3}


def test_a_figure_of_few_points_stays_as_it_is() -> None:
    html = render_block(Figure([{"x": [1, 2], "y": [3, 4]}], {}, "How.", "what"), "f")
    assert "points" not in html


def test_thinning_spares_short_traces_and_heat_maps_and_takes_each_trace_alike() -> None:
    long, cells = np.arange(30_000), [[1.0] * 200] * 200
    found, total = thinned(
        [
            {"x": long, "y": long},
            {"x": [0, 1], "y": [0, 1]},
            {"z": cells, "x": list(range(200))},
            {"dimensions": [{"label": "a", "values": list(range(10_000))}]},
        ]
    )
    assert total == 40_002
    assert len(found[0]["x"]) == len(found[0]["y"]) == 7499
    assert found[1] == {"x": [0, 1], "y": [0, 1]}
    assert found[2] == {"z": cells, "x": list(range(200))}
    assert len(found[3]["dimensions"][0]["values"]) == 2499
    assert found[3]["dimensions"][0]["label"] == "a"
