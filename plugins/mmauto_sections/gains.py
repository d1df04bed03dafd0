"""The picture that answers "does fusion help?": each arm against the best single modality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmauto.plugin import Block, Figure, Interval, Section, Standing, StudyView, Text
from mmauto_sections.colours import metric_label, plain
from mmauto_sections.dots import arm_axis, dots, upright, written


class Gains(Section):
    """Paired gains over the reference with intervals and p values, up to the ceiling."""

    name = "gains"
    summary = "paired gains over the best single modality, with intervals and p values"
    reference = "mmauto"
    title = "Does fusion help?"
    order = 20

    def render(self, study: StudyView) -> Sequence[Block]:
        """One figure, or a sentence where nothing can be held against a single modality."""
        found = study.comparison
        gains = [(s, s.difference) for s in reversed(found.lines) if s.difference is not None]
        if not found.standings:
            return []
        if not gains:
            return [
                Text(
                    "No single modality was confirmed beside another arm, so there is nothing to "
                    "hold the arms against."
                )
            ]
        reference = next(s for s in found.standings if s.arm.name == found.reference)
        return [_figure(study, reference, gains)]


def _figure(
    study: StudyView, reference: Standing, gains: Sequence[tuple[Standing, Interval]]
) -> Figure:
    label = metric_label(study)
    room, ceiling = _ceiling(study, reference)
    tested = any(not math.isnan(line.p) for line, _ in gains)
    tests = (
        " p, beside the plot where there is room, is that of swapping both arms' predictions row "
        "by row (all rows of a group at once); after the slash it allows for the number of "
        "fusions (Holm)."
        if tested
        else " The bars are not corrected for comparing several arms."
    )
    return Figure(
        dots(gains, _p_value),
        {
            "xaxis": {"title": {"text": f"gain in {label} over {plain(reference.arm.name)}"}},
            "yaxis": arm_axis([line for line, _ in gains]),
            "shapes": [upright(0.0, "solid"), *ceiling.get("shapes", ())],
            "annotations": [*_p_values(gains), *ceiling.get("annotations", ())],
            **({"margin": {"r": 150, "t": 30, "b": 44, "l": 8}} if tested else {}),
        },
        f"Paired gain over {reference.arm.name}, the single modality that was best on validation "
        "(controls may read all modalities, but fuse nothing by training); "
        "to the right is better. A bar (95 % interval over seeds and rows) that crosses the solid "
        f"line means that this data cannot tell the two apart.{tests}{room}",
        "; ".join(f"{line.arm.name} {gain.value:+.3f}" for line, gain in reversed(gains)),
        130 + 32 * len(gains),
    )


def _p_values(gains: Sequence[tuple[Standing, Interval]]) -> list[dict[str, Any]]:
    return [
        {
            "x": 1.01, "xref": "paper", "xanchor": "left", "y": plain(line.arm.name),
            "showarrow": False, "text": _p_value(line),
        }
        for line, _ in gains
        if not math.isnan(line.p)
    ]  # fmt: skip


def _p_value(line: Standing) -> str:
    if math.isnan(line.p):
        return ""
    corrected = "" if math.isnan(line.p_holm) else f" / {_short(line.p_holm)}"
    return f"p {_short(line.p)}{corrected}"


def _short(p: float) -> str:
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def _ceiling(study: StudyView, reference: Standing) -> tuple[str, dict[str, Any]]:
    """A sentence, and the line that shows how much there is to gain at all."""
    if "all" not in study.ceiling:
        return "", {}
    room = study.ceiling["all"] - reference.test.value
    room = room if study.comparison.maximise else -room
    return (
        " The dotted line is what the ideal observer of all modalities would gain.",
        {"shapes": [upright(room, "dot")], "annotations": [written(room, f"ceiling {room:+.3f}")]},
    )
