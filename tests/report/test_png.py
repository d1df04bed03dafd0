"""Figures as PNG files: drawn as on a light page, or one sentence on what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import plotly.io
import pytest
from mmauto_sections import mmauto_sections

from mmauto.blocks import Figure, Text
from mmauto.contracts import Section
from mmauto.errors import ConfigError
from mmauto.report.png import drawn, figures_of, named, write_figures
from mmauto.testing.fakes_study import fake_study

FIGURE = Figure(
    [{"type": "scatter", "x": [1], "y": [2], "line": {"color": "text"}, "text": ["text"]}],
    {"xaxis": {"title": {"text": "x"}}, "shapes": [{"line": {"color": "text"}}]},
    "how", "what", 300,
)  # fmt: skip


@pytest.fixture
def kaleido(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """As if kaleido was there; what plotly was asked to write."""
    asked: list[dict[str, Any]] = []

    def write_image(figure: dict[str, Any], path: Path, **options: Any) -> None:
        asked.append({"figure": figure, **options})
        path.write_bytes(b"\x89PNG")

    monkeypatch.setitem(sys.modules, "kaleido", ModuleType("kaleido"))
    monkeypatch.setattr(plotly.io, "write_image", write_image)
    return asked


def test_every_figure_of_the_report_becomes_a_file(
    kaleido: list[dict[str, Any]], tmp_path: Path
) -> None:
    figures = figures_of(fake_study(0), list(mmauto_sections()))
    files = write_figures(figures, tmp_path / "figures")
    assert len(files) == len(figures) == len(kaleido) >= 5
    assert tmp_path / "figures" / "strategies-1.png" in files
    assert all(file.read_bytes() == b"\x89PNG" for file in files)
    assert [one["height"] for one in kaleido] == [figure.height for _, figure in figures]


def test_a_figure_is_dressed_for_a_light_page() -> None:
    found = drawn(FIGURE)
    (trace,) = found["data"]
    assert found["layout"]["paper_bgcolor"] == "#ffffff"
    assert found["layout"]["xaxis"]["title"] == {"text": "x"}
    assert found["layout"]["xaxis"]["automargin"]
    assert trace["line"]["color"] == found["layout"]["font"]["color"]
    assert found["layout"]["shapes"][0]["line"]["color"] == found["layout"]["font"]["color"]
    assert trace["text"] == ["text"]
    assert FIGURE.data[0]["line"]["color"] == "text"


def test_plotly_takes_every_figure_of_the_report() -> None:
    for _, figure in figures_of(fake_study(0), list(mmauto_sections())):
        plotly.io.to_json(drawn(figure), validate=True)


def test_figures_are_named_after_their_section() -> None:
    found = named("curves", [Text("a"), FIGURE, Text("b"), FIGURE])
    assert [name for name, _ in found] == ["curves-1", "curves-2"]


def test_a_section_that_fails_leaves_the_others_theirs() -> None:
    class Broken(Section):
        name = summary = reference = title = "broken"

        def render(self, study: object) -> list[Figure]:
            raise ValueError("no")

    class Fine(Broken):
        name = "fine"

        def render(self, study: object) -> list[Figure]:
            return [FIGURE]

    assert [name for name, _ in figures_of(fake_study(0), [Broken(), Fine()])] == ["fine-1"]


def test_a_name_stays_in_the_folder(kaleido: list[dict[str, Any]], tmp_path: Path) -> None:
    assert write_figures([("../x/y-1", FIGURE)], tmp_path) == [tmp_path / "___x_y-1.png"]


def test_without_kaleido_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(ConfigError) as error:
        write_figures([("x", FIGURE)], tmp_path)
    assert str(error.value) == (
        "--png draws with kaleido, which is not installed; `pip install mmauto[png]`"
    )


def test_without_a_browser_the_message_says_how_to_get_one(
    kaleido: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_chrome(*_: Any, **__: Any) -> None:
        raise RuntimeError("\n\nKaleido requires\nGoogle Chrome")

    monkeypatch.setattr(plotly.io, "write_image", no_chrome)
    with pytest.raises(ConfigError) as error:
        write_figures([("x", FIGURE)], tmp_path)
    assert str(error.value) == (
        "--png draws with kaleido, which needs Chrome and could not use it (Kaleido requires "
        "Google Chrome); run `plotly_get_chrome`"
    )
