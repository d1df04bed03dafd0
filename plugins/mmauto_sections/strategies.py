"""Strategies against controls and the ceiling: the picture that answers "does fusion help?"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import Block, Figure, Interval, Section, Standing, StudyView
from mmauto_sections.colours import HUES, KINDS, SYMBOLS, metric_label, plain

KIND_HUES = {"fusion": HUES[0], "single": HUES[1], "control": HUES[7]}


class Strategies(Section):
    """Two dot plots with interval bars: the test metric, and the gain over the reference."""

    name = "strategies"
    summary = "test scores and paired gains with intervals, beside controls and ceiling"
    reference = "mmauto"
    title = "Does fusion help?"
    order = 30

    def render(self, study: StudyView) -> Sequence[Block]:
        """Scores first, then gains."""
        found = study.comparison
        if not found.standings:
            return []
        lines = list(reversed(found.standings))
        label = metric_label(study)
        height = 110 + 30 * len(lines)
        scores = Figure(
            _dots([(line, line.test) for line in lines]),
            {
                "xaxis": {"title": {"text": f"test {label} ({found.target})"}},
                "yaxis": _arms(lines),
                **_ceiling(study),
            },
            "Each dot is the mean over seeds on the test rows, its bar the 95 % interval over "
            f"seeds and rows; {'higher' if found.maximise else 'lower'} is better. The order is "
            "that of validation."
            + (
                " The dotted line is the ideal observer of all modalities."
                if "all" in study.ceiling
                else ""
            ),
            "; ".join(
                f"{line.arm.name} {line.test.value:.3f} from {line.test.low:.3f} to "
                f"{line.test.high:.3f}"
                for line in found.standings
            ),
            height,
        )
        gains = [(line, line.difference) for line in lines if line.difference is not None]
        if not gains:
            return [scores]
        return [
            scores,
            Figure(
                _dots(gains),
                {
                    "xaxis": {"title": {"text": f"gain over {plain(str(found.reference))}"}},
                    "yaxis": _arms([line for line, _ in gains]),
                    "shapes": [_line(0.0, "solid")],
                },
                f"Paired gain in {label} over {found.reference}, the single modality that was best "
                "on validation; to the right is better. A bar that crosses the line means that "
                "this data cannot tell the two apart; the bars are not corrected for comparing "
                "several arms.",
                "; ".join(f"{line.arm.name} {gain.value:+.3f}" for line, gain in gains),
                height,
            ),
        ]


def _dots(points: Sequence[tuple[Standing, Interval]]) -> list[dict[str, Any]]:
    traces = []
    for kind in ("fusion", "single", "control"):
        own = [(line, found) for line, found in points if line.arm.kind == kind]
        if own:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": KINDS[kind],
                    "x": [found.value for _, found in own],
                    "y": [plain(line.arm.name) for line, _ in own],
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": [found.high - found.value for _, found in own],
                        "arrayminus": [found.value - found.low for _, found in own],
                        "thickness": 2,
                        "width": 0,
                    },
                    "marker": {"size": 11, "symbol": SYMBOLS[kind], "color": KIND_HUES[kind]},
                    "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
                }
            )
    return traces


def _arms(lines: Sequence[Standing]) -> dict[str, Any]:
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [plain(line.arm.name) for line in lines],
    }


def _ceiling(study: StudyView) -> dict[str, Any]:
    if "all" not in study.ceiling:
        return {}
    value = study.ceiling["all"]
    note = {
        "x": value, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
        "text": f"ceiling {value:.3f}",
    }  # fmt: skip
    return {"shapes": [_line(value, "dot")], "annotations": [note]}


def _line(value: float, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper",
        "line": {"color": "text", "dash": dash, "width": 1.5},
    }  # fmt: skip
