"""Parallel coordinates: each trial of an arm as a line through its parameters.

Drawn as plain lines: plotly's own kind needs functions made of strings, which the page forbids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmauto.plugin import ArmView, Figure, StudyView, TrialView
from mmauto_sections.axes import Axis, metric, upright
from mmauto_sections.colours import HUES, metric_label, plain

MOST_AXES = 12
"""Parameters, the most important first; the metric's axis comes after them."""

MOST_POINTS = 8_000
"""Of all arms; the page thins what has more than 10,000, and would tear lines."""

TONES = (
    HUES[5], "rgba(86,180,233,1)", "rgba(86,180,233,0.75)", "rgba(86,180,233,0.5)",
    "rgba(86,180,233,0.3)",
)  # fmt: skip
"""Of the fifths of an arm's trials, the best first."""

BUTTON = {"bgcolor": "#E5E7EB", "bordercolor": "#9CA3AF", "font": {"color": "#111827"}}
"""Dark on light whatever the page: plotly lights up the chosen item with a pale ground."""


@dataclass(frozen=True)
class _Drawn:
    """An arm, its trials with the best first, and its uprights."""

    arm: ArmView
    own: Sequence[TrialView]
    axes: Sequence[Axis]


def blocks(study: StudyView) -> list[Figure]:
    """One figure with a list of arms to choose from; nothing where no arm varied anything."""
    found = [one for arm in study.arms if (one := _drawn(study, arm)) is not None]
    if not found:
        return []
    step = max(1, -(-sum(len(one.own) * (len(one.axes) + 2) for one in found) // MOST_POINTS))
    each = [_traces(one, step) for one in found]
    label = metric_label(study)
    best = "highest" if study.comparison.maximise else "lowest"
    left = f" One trial in {step} is drawn, the best among them." if step > 1 else ""
    return [
        Figure(
            [
                {**trace, "visible": place == 0}
                for place, traces in enumerate(each)
                for trace in traces
            ],
            {
                "xaxis": {
                    "fixedrange": True,
                    "tickangle": -35,
                    "ticklabeloverflow": "allow",
                    **_names(found[0]),
                },
                "yaxis": {"visible": False, "range": [-0.16, 1.08], "fixedrange": True},
                "updatemenus": [_menu(found, [len(traces) for traces in each])],
                "legend": {"orientation": "h", "x": 0, "y": 1.13, "yanchor": "bottom"},
                "margin": {"t": 110, "b": 90, "l": 30, "r": 30},
            },
            f"A line is a trial, an upright a parameter: the most important first, {MOST_AXES} at "
            f"most; the last is the validation {label}, the best on top. Vermilion: the fifth of "
            f"the trials with the {best} {label}; the paler, the worse. A dash at the foot: the "
            "parameter does not apply. Choose an arm in the list; click a range to hide its "
            f"lines.{left}",
            f"Parameters of the trials of {len(found)} arms, by validation {label}",
            540,
        )
    ]


def _drawn(study: StudyView, arm: ArmView) -> _Drawn | None:
    """None where nothing varied."""
    maximise = study.comparison.maximise
    scored = [t for t in study.trials if t.arm == arm.name and t.value is not None]
    own = sorted(scored, key=lambda trial: trial.value or 0.0, reverse=maximise)
    names = dict.fromkeys(name for trial in own for name in trial.params)
    given = {name: [trial.params.get(name) for trial in own] for name in names}
    varied = [name for name in names if len({str(value) for value in given[name]}) > 1]
    if not varied:
        return None
    varied.sort(key=lambda name: (-arm.importances.get(name, 0.0), name))
    last = metric(metric_label(study), [trial.value or 0.0 for trial in own], maximise)
    return _Drawn(arm, own, [*(upright(name, given[name]) for name in varied[:MOST_AXES]), last])


def _traces(one: _Drawn, step: int) -> list[dict[str, Any]]:
    """Fifths of the trials, the best on top of the others, then the marks of the uprights."""
    fifths: dict[int, list[int]] = {}
    for rank in range(0, len(one.own), step):
        fifths.setdefault(rank * len(TONES) // len(one.own), []).append(rank)
    lines = [_lines(one, fifths[fifth], TONES[fifth]) for fifth in sorted(fifths, reverse=True)]
    marks = [
        (place, height, plain(text))
        for place, axis in enumerate(one.axes)
        for height, text in axis.marks
    ]
    return [
        *lines,
        {
            "type": "scatter", "mode": "text", "hoverinfo": "skip", "showlegend": False,
            "x": [place for place, _, _ in marks], "y": [height for _, height, _ in marks],
            "text": [f" {text}" for _, _, text in marks], "textposition": "middle right",
            "textfont": {"size": 10}, "cliponaxis": False, "name": "marks",
        },
    ]  # fmt: skip


def _lines(one: _Drawn, ranks: Sequence[int], tone: str) -> dict[str, Any]:
    """Trials as one trace, with a gap after each."""
    trials = [one.own[rank] for rank in ranks]
    values = [trial.value or 0.0 for trial in trials]
    width = len(one.axes)
    heights = [[*(axis.heights[rank] for axis in one.axes), None] for rank in ranks]
    texts = [f"trial {trial.index + 1}: {trial.value:.3f}" for trial in trials]
    return {
        "type": "scatter", "mode": "lines", "name": _range(min(values), max(values)),
        "x": [*range(width), None] * len(ranks),
        "y": [height for line in heights for height in line],
        "line": {"color": tone, "width": 1.5},
        "text": [text for text in texts for _ in range(width + 1)],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _range(low: float, high: float) -> str:
    return f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"


def _names(one: _Drawn) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(one.axes))),
        "ticktext": [plain(axis.name) for axis in one.axes],
        "range": [-0.2, len(one.axes) - 0.4],
    }


def _menu(found: Sequence[_Drawn], counts: Sequence[int]) -> dict[str, Any]:
    """Each button shows its arm's traces, and names its uprights."""
    owners = [place for place, count in enumerate(counts) for _ in range(count)]
    return {
        **BUTTON,
        "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
        "buttons": [
            {
                "label": plain(one.arm.name),
                "method": "update",
                "args": [
                    {"visible": [owner == place for owner in owners]},
                    {f"xaxis.{key}": value for key, value in _names(one).items()},
                ],
            }
            for place, one in enumerate(found)
        ],
    }  # fmt: skip
