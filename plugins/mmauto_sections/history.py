"""Every trial by its number, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mmauto.plugin import Figure, StudyView, TrialView
from mmauto_sections.colours import metric_label, plain, styles


def blocks(study: StudyView) -> list[Figure]:
    """A dot a trial and a step line an arm; nothing before the first result."""
    scored = [t for t in study.trials if t.value is not None]
    if not scored:
        return []
    look = styles(study)
    traces = []
    for arm in study.arms:
        own = sorted((t for t in scored if t.arm == arm.name), key=lambda trial: trial.index)
        if own:
            traces += _arm(study, own, look[arm.name])
    better = "higher" if study.comparison.maximise else "lower"
    return [
        Figure(
            traces,
            {
                "xaxis": {"title": {"text": "trial of the arm"}, "dtick": _tick(scored)},
                "yaxis": {"title": {"text": f"validation {metric_label(study)}"}},
            },
            f"A dot is a trial (hollow: pruned early), the line the best so far; {better} is "
            "better. The first trial of each arm is its default configuration, the next four are "
            "random points that arms share.",
            f"{len(scored)} trials of {len({trial.arm for trial in scored})} arms",
            460,
        )
    ]


def _arm(study: StudyView, own: Sequence[TrialView], look: dict[str, Any]) -> list[dict[str, Any]]:
    best = max if study.comparison.maximise else min
    values = [float(trial.value or 0.0) for trial in own]
    name = plain(own[0].arm)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "legendgroup": name,
            "showlegend": False,
            "x": [trial.index + 1 for trial in own],
            "y": values,
            "marker": {
                "color": look["color"],
                "size": 7,
                "symbol": ["circle-open" if t.state == "pruned" else "circle" for t in own],
            },
            "hovertemplate": f"{name} %{{x}}: %{{y:.3f}}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "legendgroup": name,
            "x": [trial.index + 1 for trial in own],
            "y": list(accumulate(values, best)),
            "line": {"color": look["color"], "dash": look["dash"], "shape": "hv"},
            "hoverinfo": "skip",
        },
    ]


def _tick(trials: Sequence[TrialView]) -> int:
    return max(1, max(trial.index for trial in trials) // 10)
