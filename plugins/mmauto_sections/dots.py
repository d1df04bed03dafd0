"""Arms as dots with interval bars, one line an arm: scores and gains are drawn alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmauto.plugin import Interval, Standing
from mmauto_sections.colours import KIND_HUES, KINDS, SYMBOLS, plain


def dots(
    points: Sequence[tuple[Standing, Interval]], words: Callable[[Standing], str] = lambda line: ""
) -> list[dict[str, Any]]:
    """A trace a kind of arm.

    Args:
        words: what is said of an arm where the reader points at its dot.
    """
    traces = []
    for kind, name in KINDS.items():
        own = [(line, found) for line, found in points if line.arm.kind == kind]
        if own:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [found.value for _, found in own],
                    "y": [plain(line.arm.name) for line, _ in own],
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": [found.high - found.value for _, found in own],
                        "arrayminus": [found.value - found.low for _, found in own],
                        "thickness": 2,
                        "width": 0,
                        "color": KIND_HUES[kind],
                    },
                    "marker": {"size": 11, "symbol": SYMBOLS[kind], "color": KIND_HUES[kind]},
                    "text": [words(line) for line, _ in own],
                    "hovertemplate": "%{y}: %{x:.3f} %{text}<extra></extra>",
                }
            )
    return traces


def arm_axis(lines: Sequence[Standing]) -> dict[str, Any]:
    """The axis with the arms' names, the last line on top."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [plain(line.arm.name) for line in lines],
    }


def upright(value: float, dash: str) -> dict[str, Any]:
    """A vertical line to compare with."""
    return {
        "type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper",
        "line": {"color": "text", "dash": dash, "width": 1.5},
    }  # fmt: skip


def written(value: float, text: str) -> dict[str, Any]:
    """What such a line says, above its end."""
    return {
        "x": value, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False, "text": text,
    }  # fmt: skip
