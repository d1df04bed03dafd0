"""The answer: a badge, three numbers, and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from mmauto.plugin import (
    Block,
    Comparison,
    Headline,
    KeyNumber,
    Section,
    Standing,
    StudyView,
    Text,
    helps,
)
from mmauto_sections.brackets import times
from mmauto_sections.colours import metric_label

Tone = Literal["good", "bad", "open"]

ALIKE = 1.05
"""Times from which a cost is another one."""

SOON = 1.0
"""Seconds below which nobody waits."""

BADGES: dict[bool | None, tuple[str, Tone]] = {
    True: ("Fusion helps", "good"),
    False: ("Fusion does not help", "bad"),
    None: ("Cannot decide whether fusion helps", "open"),
}


class Verdict(Section):
    """The card with the answer, then the comparison's sentences, the first ones large."""

    name = "verdict"
    summary = "what wins, by how much, how sure, and what cannot be decided"
    reference = "mmauto"
    title = "Verdict"
    order = 10

    def render(self, study: StudyView) -> Sequence[Block]:
        """A headline, two leading sentences, then the rest."""
        simulated = (
            [Text("The data is simulated: nothing here is a finding about the real world.", "note")]
            if study.task.simulated
            else []
        )
        sentences = study.comparison.verdict
        return [
            *_headline(study),
            *(Text(sentence, "lead") for sentence in sentences[:2]),
            *(Text(sentence) for sentence in sentences[2:]),
            *simulated,
        ]


def _headline(study: StudyView) -> list[Headline]:
    found = study.comparison
    winner = _line(found, found.winner)
    if winner is None:
        return []
    fusion = next((line for line in found.standings if line.arm.kind == "fusion"), None)
    reference = _line(found, found.reference)
    numbers = [_score(study, winner)]
    if fusion is None or reference is None or fusion.difference is None:
        return [Headline("Fusion was not compared", "open", numbers)]
    badge, tone = BADGES[helps(fusion)]
    return [Headline(badge, tone, [*numbers, _gain(fusion, reference), *_cost(fusion, reference)])]


def _line(found: Comparison, name: str | None) -> Standing | None:
    return next((line for line in found.standings if line.arm.name == name), None)


def _score(study: StudyView, winner: Standing) -> KeyNumber:
    test = winner.test
    return KeyNumber(
        f"test {metric_label(study)} of {winner.arm.name}, the winner",
        f"{test.value:.3f}",
        f"95 % interval {test.low:.3f} to {test.high:.3f}",
    )


def _gain(fusion: Standing, reference: Standing) -> KeyNumber:
    gain = fusion.difference
    assert gain is not None
    chance = "" if math.isnan(fusion.p) else f", p {_p_value(fusion.p)}"
    return KeyNumber(
        f"gain of {fusion.arm.name} over {reference.arm.name}",
        _signed(gain.value),
        f"95 % interval {_signed(gain.low)} to {_signed(gain.high)}{chance}",
    )


def _cost(fusion: Standing, reference: Standing) -> list[KeyNumber]:
    ours, theirs = fusion.costs.train_seconds, reference.costs.train_seconds
    if not ours or not theirs:
        return []
    label = f"training time of {fusion.arm.name} over {reference.arm.name}"
    if max(ours, theirs) < SOON:
        return [KeyNumber(label, f"< {SOON:.0f} s", "both, a run")]
    ratio = ours / theirs
    alike = 1 / ALIKE < ratio < ALIKE
    return [
        KeyNumber(
            label,
            "about the same" if alike else f"× {times(ratio)}",
            f"{_seconds(ours)} against {_seconds(theirs)} seconds a run",
        )
    ]


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
