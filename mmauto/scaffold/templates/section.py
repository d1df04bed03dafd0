"""How much better each arm looked on validation than it is on the test split."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Section, StudyView, Table, Text


class ScaffoldNameSection(Section):
    """What choosing on validation costs: the best of many trials was also a little lucky."""

    name = "scaffold_name"
    summary = "validation against test of each arm: how optimistic the search was"
    reference = "Cawley and Talbot 2010, On Over-fitting in Model Selection, JMLR"
    title = "Optimism of the search"
    order = 150

    def render(self, study: StudyView) -> Sequence[Block]:
        """A table with a row an arm, the most optimistic first; nothing without runs."""
        found = study.comparison
        sign = 1.0 if found.maximise else -1.0
        gaps = [(sign * (line.validation - line.test.value), line) for line in found.standings]
        gaps.sort(key=lambda pair: -pair[0])
        rows: list[list[str | int | float | None]] = [
            [line.arm.name, line.trials, round(line.validation, 4), round(line.test.value, 4),
             round(gap, 4)]
            for gap, line in gaps
        ]  # fmt: skip
        if not rows:
            return []
        return [
            Text(f"The target is {found.target}, measured by {found.metric}."),
            Table(
                ("arm", "trials", "validation", "test", "optimism"),
                rows,
                "Optimism above 0: the arm looked better where it was chosen than where it was "
                "measured. More trials on few validation rows make it larger.",
                sortable=True,
            ),
        ]
