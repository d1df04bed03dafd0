"""How the best candidates learned."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Figure, StudyView
from mmauto_sections.colours import metric_label, plain, styles


def blocks(study: StudyView) -> list[Figure]:
    """The validation metric by epoch, an arm a line; arms without epochs have no curve."""
    look = styles(study)
    traces = []
    for arm in study.arms:
        mean = _mean(_runs(study, arm.name))
        if not mean:
            continue
        name = plain(arm.name)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": list(range(1, len(mean) + 1)),
                "y": mean,
                "line": {"color": look[arm.name]["color"], "dash": look[arm.name]["dash"]},
                "hovertemplate": f"{name}, epoch %{{x}}: %{{y:.3f}}<extra></extra>",
            }
        )
    if not traces:
        return []
    better = "higher" if study.comparison.maximise else "lower"
    return [
        Figure(
            traces,
            {
                "xaxis": {"title": {"text": "epoch"}},
                "yaxis": {"title": {"text": f"validation {metric_label(study)}"}},
            },
            "The best trial of each arm; where it was retrained, the mean over seeds of that. "
            f"{better.capitalize()} is better. Training ends when the value has not improved for "
            "some epochs; the best epoch counts. Click a name to hide its line.",
            f"Validation {metric_label(study)} by epoch for {len(traces)} arms",
            460,
        )
    ]


def _runs(study: StudyView, arm: str) -> list[tuple[float, ...]]:
    """Curves of the confirmation runs, or that of the best trial where there are none."""
    runs = [c.curve for c in study.confirmations if c.arm == arm and len(c.curve) > 1]
    if runs:
        return runs
    best = max if study.comparison.maximise else min
    trials = [t for t in study.trials if t.arm == arm and t.value is not None and len(t.curve) > 1]
    return [best(trials, key=lambda trial: trial.value or 0.0).curve] if trials else []


def _mean(runs: Sequence[tuple[float, ...]]) -> list[float]:
    """A run that stopped early counts with what it had reached: its last epoch's value."""
    longest = max((len(run) for run in runs), default=0)
    full = [(*run, *(run[-1:] * (longest - len(run)))) for run in runs]
    return [sum(values) / len(values) for values in zip(*full, strict=True)]
