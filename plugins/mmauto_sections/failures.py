"""What failed, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mmauto.plugin import Block, Section, StudyView, Table, Text


class Failures(Section):
    """Failed trials and confirmation runs by kind and message."""

    name = "failures"
    summary = "failed trials by kind, with their messages"
    reference = "mmauto"
    title = "Failures"
    order = 120

    def render(self, study: StudyView) -> Sequence[Block]:
        """A table, or a sentence when there is none."""
        counted: Counter[tuple[str, str, str]] = Counter()
        for trial in study.trials:
            if trial.failure:
                counted[trial.arm, trial.failure.kind, trial.failure.message] += 1
        for run in study.confirmations:
            if run.failure:
                counted[f"{run.arm} (confirmation)", run.failure.kind, run.failure.message] += 1
        if not counted:
            return [Text("No trial failed.")]
        return [
            Table(
                ("arm", "kind", "times", "message"),
                [[arm, kind, times, text] for (arm, kind, text), times in counted.most_common()],
                "A failed trial counts towards its arm's budget and never ends the study.",
            )
        ]
