"""The answer in words."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Section, StudyView, Text


class Verdict(Section):
    """The comparison's sentences, the first ones large."""

    name = "verdict"
    summary = "what wins, by how much, how sure, and what cannot be decided"
    reference = "mmauto"
    title = "Verdict"
    order = 10

    def render(self, study: StudyView) -> Sequence[Block]:
        """Two leading sentences, then the rest."""
        simulated = (
            [Text("The data is simulated: nothing here is a finding about the real world.", "note")]
            if study.task.simulated
            else []
        )
        sentences = study.comparison.verdict
        return [
            *(Text(sentence, "lead") for sentence in sentences[:2]),
            *(Text(sentence) for sentence in sentences[2:]),
            *simulated,
        ]
