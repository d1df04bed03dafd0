"""Parallel coordinates: each trial of an arm as a line through its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import ArmView, Figure, StudyView
from mmauto_sections.axes import metric, upright
from mmauto_sections.colours import HUES, metric_label, plain

MOST_AXES = 12
"""Parameters, the most important first; the metric's axis comes after them."""

WORST = 0.9
"""The share of trials, the best first, that the colours tell apart: one bad trial must not make
all others look alike."""


def blocks(study: StudyView) -> list[Figure]:
    """One figure with a list of arms to choose from; nothing where no arm varied anything."""
    each = [(arm, _trace(study, arm)) for arm in study.arms]
    found = [(arm, trace) for arm, trace in each if trace is not None]
    if not found:
        return []
    label = metric_label(study)
    best = "highest" if study.comparison.maximise else "lowest"
    return [
        Figure(
            [{**trace, "visible": place == 0} for place, (_, trace) in enumerate(found)],
            {"updatemenus": [_menu([arm for arm, _ in found])], "margin": {"t": 64}},
            f"A line is a trial, an upright a parameter: the most important first, {MOST_AXES} at "
            f"most; the last is the validation {label}, the best on top. The colour is that too: "
            f"amber is the {best}. A dash at the foot: the parameter does not apply to that trial. "
            "Choose an arm in the list.",
            f"Parameters of the trials of {len(found)} arms, by validation {label}",
            480,
        )
    ]


def _trace(study: StudyView, arm: ArmView) -> dict[str, Any] | None:
    """The arm's trials with a result, the best first; None where nothing varied."""
    maximise = study.comparison.maximise
    scored = [t for t in study.trials if t.arm == arm.name and t.value is not None]
    own = sorted(scored, key=lambda trial: trial.value or 0.0, reverse=maximise)
    names = dict.fromkeys(name for trial in own for name in trial.params)
    given = {name: [trial.params.get(name) for trial in own] for name in names}
    varied = [name for name in names if len({str(value) for value in given[name]}) > 1]
    if not varied:
        return None
    varied.sort(key=lambda name: (-arm.importances.get(name, 0.0), name))
    values = [trial.value or 0.0 for trial in own]
    label = metric_label(study)
    return {
        "type": "parcoords",
        "dimensions": [
            *(upright(name, given[name]) for name in varied[:MOST_AXES]),
            metric(label, values, maximise),
        ],
        "line": {
            "color": values,
            **_scale(values, maximise),
            "colorbar": {"title": {"text": plain(label)}},
        },
    }


def _scale(values: Sequence[float], maximise: bool) -> dict[str, Any]:
    """Colours from the worst (blue) to the best (amber); ``values`` come the best first."""
    ends = values[0], values[int(WORST * (len(values) - 1))]
    return {
        "cmin": min(ends),
        "cmax": max(ends),
        "colorscale": [[0, HUES[0]], [1, HUES[1]]],
        "reversescale": not maximise,
        "showscale": True,
    }


def _menu(arms: Sequence[ArmView]) -> dict[str, Any]:
    return {
        "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
        "buttons": [
            {
                "label": plain(arm.name),
                "method": "restyle",
                "args": [{"visible": [other is arm for other in arms]}],
            }
            for arm in arms
        ],
    }  # fmt: skip
