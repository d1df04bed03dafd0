"""All strategies beside controls and the ceiling, on the metric's own scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import Block, Figure, Section, StudyView
from mmauto_sections.colours import metric_label
from mmauto_sections.dots import arm_axis, dots, upright, written


class Strategies(Section):
    """A dot plot of the test metric with interval bars."""

    name = "strategies"
    summary = "test scores with intervals, beside controls and ceiling"
    reference = "mmauto"
    title = "Strategies side by side"
    order = 40

    def render(self, study: StudyView) -> Sequence[Block]:
        """One figure, best on validation on top."""
        found = study.comparison
        if not found.standings:
            return []
        lines = list(reversed(found.lines))
        ceiling = (
            " The dotted line is the ideal observer of all modalities."
            if "all" in study.ceiling
            else ""
        )
        return [
            Figure(
                dots([(line, line.test) for line in lines]),
                {
                    "xaxis": {"title": {"text": f"test {metric_label(study)} ({found.target})"}},
                    "yaxis": arm_axis(lines),
                    **_ceiling(study),
                },
                "Each dot is the mean over seeds on the test rows, its bar the 95 % interval over "
                f"seeds and rows; {'higher' if found.maximise else 'lower'} is better. The order "
                f"is that of validation.{ceiling}",
                "; ".join(
                    f"{line.arm.name} {line.test.value:.3f} from {line.test.low:.3f} to "
                    f"{line.test.high:.3f}"
                    for line in found.lines
                ),
                130 + 30 * len(lines),
            )
        ]


def _ceiling(study: StudyView) -> dict[str, Any]:
    if "all" not in study.ceiling:
        return {}
    value = study.ceiling["all"]
    return {
        "shapes": [upright(value, "dot")],
        "annotations": [written(value, f"ceiling {value:.3f}")],
    }
