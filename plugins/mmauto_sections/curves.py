"""How the confirmed models learned."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Figure, Section, StudyView
from mmauto_sections.colours import metric_label, plain, styles


class Curves(Section):
    """The validation metric of each epoch, mean over seeds, an arm a line."""

    name = "curves"
    summary = "validation metric by epoch of each arm's best candidate"
    reference = "mmauto"
    title = "Learning curves"
    order = 50

    def render(self, study: StudyView) -> Sequence[Block]:
        """One figure; arms that do not train by epochs have no curve."""
        look = styles(study)
        traces = []
        for arm in study.arms:
            runs = [c.curve for c in study.confirmations if c.arm == arm.name and len(c.curve) > 1]
            if not runs:
                continue
            # a run that stopped early counts with what it had reached: its last epoch's value
            longest = max(len(run) for run in runs)
            full = [(*run, *(run[-1:] * (longest - len(run)))) for run in runs]
            mean = [sum(values) / len(values) for values in zip(*full, strict=True)]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": plain(arm.name),
                    "x": list(range(1, longest + 1)),
                    "y": mean,
                    "line": {"color": look[arm.name]["color"], "dash": look[arm.name]["dash"]},
                    "hovertemplate": f"{plain(arm.name)}, epoch %{{x}}: %{{y:.3f}}<extra></extra>",
                }
            )
        if not traces:
            return []
        return [
            Figure(
                traces,
                {
                    "xaxis": {"title": {"text": "epoch"}},
                    "yaxis": {"title": {"text": f"validation {metric_label(study)}"}},
                },
                "The best candidate of each arm, retrained: mean over seeds. Training ends when "
                "the value has not improved for some epochs; the best epoch counts. Click a name "
                "to hide its line.",
                f"Validation {metric_label(study)} by epoch for {len(traces)} arms",
                460,
            )
        ]
