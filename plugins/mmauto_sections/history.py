"""The search itself: every trial, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mmauto.plugin import Block, Figure, Section, StudyView, Table, Text, TrialView
from mmauto_sections.colours import metric_label, plain, styles

MOST_POINTS = 10_000


class History(Section):
    """Trials by number within their arm, with the best so far as a step line."""

    name = "history"
    summary = "every trial of every arm, and the best so far"
    reference = "mmauto"
    title = "Search"
    order = 60

    def render(self, study: StudyView) -> Sequence[Block]:
        """A figure and a table of trials by state."""
        if not study.trials:
            return []
        scored = [t for t in study.trials if t.value is not None]
        if not scored:
            return [Text("No trial has a result yet."), _states(study)]
        look = styles(study)
        thin = max(1, -(-len(scored) // MOST_POINTS))
        traces = []
        for arm in study.arms:
            own = sorted((t for t in scored if t.arm == arm.name), key=lambda trial: trial.index)
            if own:
                traces += _arm(study, own, look[arm.name], thin)
        seen = f" One trial in {thin} is drawn." if thin > 1 else ""
        return [
            Figure(
                traces,
                {
                    "xaxis": {"title": {"text": "trial of the arm"}, "dtick": _tick(scored)},
                    "yaxis": {"title": {"text": f"validation {metric_label(study)}"}},
                },
                "A dot is a trial (hollow: pruned early), the line the best so far. The first "
                "trial of each arm is its default configuration, the next four are random points "
                f"that arms share.{seen}",
                f"{len(scored)} trials of {len(study.arms)} arms",
                460,
            ),
            _states(study),
        ]


def _arm(
    study: StudyView, own: Sequence[TrialView], look: dict[str, Any], thin: int
) -> list[dict[str, Any]]:
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
            "x": [trial.index + 1 for trial in own][::thin],
            "y": values[::thin],
            "marker": {
                "color": look["color"],
                "size": 7,
                "symbol": ["circle-open" if t.state == "pruned" else "circle" for t in own][::thin],
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


def _states(study: StudyView) -> Table:
    rows: list[list[str | int | float | None]] = []
    for arm in study.arms:
        own = [trial for trial in study.trials if trial.arm == arm.name]
        states = [trial.state for trial in own]
        rows.append(
            [
                arm.name + (" (parked)" if arm.parked else ""),
                *(states.count(state) for state in ("complete", "pruned", "failed")),
                sum(len(trial.curve) for trial in own),
                round(sum(trial.seconds for trial in own), 1),
            ]
        )
    return Table(
        ("arm", "complete", "pruned", "failed", "epochs", "seconds"),
        rows,
        "Trials by state. Seconds include encoding, which the first trial to need it pays for all.",
        sortable=True,
    )


def _tick(trials: Sequence[TrialView]) -> int:
    return max(1, max(trial.index for trial in trials) // 10)
