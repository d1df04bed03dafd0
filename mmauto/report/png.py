"""The figures of a page as PNG files, for documents that take no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmauto.blocks import Block, Figure, unfolded
from mmauto.contracts import Section
from mmauto.errors import ConfigError
from mmauto.views import StudyView

WIDTH = 900
"""Pixels of the page; files have twice as many."""
TEXT = "#1c2330"
"""The colour of text on a light page."""
LAYOUT: Mapping[str, Any] = {
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "font": {"color": TEXT, "size": 13},
    "margin": {"l": 60, "r": 24, "t": 16, "b": 48},
    "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
}
AXIS: Mapping[str, Any] = {"automargin": True, "gridcolor": "#d9dde3", "zerolinecolor": "#d9dde3"}


def figures_of(view: StudyView, sections: Sequence[Section]) -> list[tuple[str, Figure]]:
    """The figures of a report, named after their section and their place in it.

    A section that fails has none; the page says why.
    """
    found = []
    for section in sections:
        try:
            found += named(section.name, section.render(view))
        except Exception:
            continue
    return found


def named(section: str, blocks: Sequence[Block]) -> list[tuple[str, Figure]]:
    """The figures among a section's blocks."""
    figures = [block for block in unfolded(blocks) if isinstance(block, Figure)]
    return [(f"{section}-{place}", figure) for place, figure in enumerate(figures, 1)]


def write_figures(figures: Sequence[tuple[str, Figure]], folder: Path) -> list[Path]:
    """Write ``NAME.png`` of each; the files.

    Raises:
        ConfigError: kaleido or the browser that it drives is missing.
    """
    try:
        import kaleido  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--png draws with kaleido, which is not installed; `pip install mmauto[png]`"
        ) from error
    import plotly.io

    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name, figure in figures:
        path = folder / f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)}.png"
        try:
            plotly.io.write_image(
                drawn(figure), path, width=WIDTH, height=figure.height, scale=2, validate=False
            )
        except RuntimeError as error:
            raise ConfigError(
                "--png draws with kaleido, which needs Chrome and could not use it "
                f"({' '.join(str(error).split())[:200]}); run `plotly_get_chrome`"
            ) from error
        found.append(path)
    return found


def drawn(figure: Figure) -> dict[str, Any]:
    """The figure as the light page would dress it: ground, grid and the colour of text."""
    layout = {**LAYOUT, "xaxis": {}, "yaxis": {}, **figure.layout}
    for name in [name for name in layout if re.fullmatch(r"[xy]axis\d*", name)]:
        layout[name] = {**AXIS, **layout[name]}
    return {"data": [_inked(trace) for trace in figure.data], "layout": _inked(layout)}


def _inked(value: Any) -> Any:
    """Plain values, with the colour of text for what asks for it."""
    if isinstance(value, Mapping):
        return {
            key: TEXT
            if key == "color" and isinstance(item, str) and item == "text"
            else _inked(item)
            for key, item in value.items()
        }
    return [_inked(item) for item in value] if isinstance(value, list | tuple) else value
