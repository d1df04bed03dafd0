"""Cards as HTML: nothing that a file holds is markup, colours stay between none and full."""

from __future__ import annotations

import re

from mmauto.blocks import Bars, Card, Gallery, Picture, Words
from mmauto.report.blocks import render_block

HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def html(*parts: Picture | Words | Bars, title: str = "t", text: str = "x") -> str:
    return render_block(Gallery([Card(title, text, parts)]), "g")


def test_hostile_texts_are_inert() -> None:
    found = html(
        Picture(HOSTILE, HOSTILE, HOSTILE, [[1.0]]),
        Words(HOSTILE, [(HOSTILE, 1.0)]),
        Bars(HOSTILE, [(HOSTILE, HOSTILE, -1.0)]),
        title=HOSTILE,
        text=HOSTILE,
    )
    assert "<script" not in found
    assert found.count("<img ") == 1  # the picture itself
    assert found.count("alert(1)") == 10
    values = re.findall(r'<img src="([^"]*)" alt="([^"]*)">', found)
    assert len(values) == 1


def test_a_picture_lies_under_its_grid() -> None:
    found = html(Picture("image", "QUJD", "an image", [[0.0, 1.0], [-0.5, 2.0]]))
    assert 'src="data:image/jpeg;base64,QUJD"' in found
    assert 'viewBox="0 0 2 2"' in found
    rects = re.findall(r'x="(\d)" y="(\d)".*?fill="(#\w+)" fill-opacity="([\d.]+)"', found)
    assert [(x, y, float(opacity)) for x, y, _, opacity in rects] == [
        ("0", "0", 0.0), ("1", "0", 0.6), ("0", "1", 0.3), ("1", "1", 0.6),
    ]  # fmt: skip
    assert rects[1][2] == rects[3][2] != rects[2][2]


def test_a_picture_without_effects_has_no_grid() -> None:
    assert "<svg" not in html(Picture("image", "QUJD", "an image"))


def test_words_are_coloured_by_what_they_did() -> None:
    found = html(Words("text", [("fever", 1.0), ("no", -1.0), ("the", 0.0)]))
    spans = re.findall(r"<span([^>]*)>(\w+)</span>", found)
    assert [word for _, word in spans] == ["fever", "no", "the"]
    assert "#d55e00" in spans[0][0]
    assert "#0072b2" in spans[1][0]
    assert spans[2][0] == ""


def test_one_hue_stands_for_both_colours() -> None:
    found = html(
        Picture("image", "QUJD", "an image", [[0.5, -0.5]], "#009E73"),
        Words("text", [("fever", 1.0)], "#009E73"),
        Bars("tokens", [("token 1", "0.5", 0.5)], "#009E73"),
    )
    assert found.count("#009E73") == 4
    assert "#d55e00" not in found
    assert "#0072b2" not in found
    assert "<b>" not in html(Words("text", [("fever", 1.0)], '"><b>'))


def test_bars_are_drawn_where_something_has_one() -> None:
    assert "width:50%" in html(Bars("tabular", [("age 7", "+0.1", 0.5), ("sex f", "–", 0.0)]))
    assert "bar" not in html(Bars("arms", [("a", "yes", 0.0)])).replace('class="bars"', "")
