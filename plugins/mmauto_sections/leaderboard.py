"""All confirmed arms in one sortable table."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Interval, Section, Standing, StudyView, Table, Text
from mmauto_sections.colours import metric_label


class Leaderboard(Section):
    """Validation, test with interval, paired difference, and cost."""

    name = "leaderboard"
    summary = "test score with interval, difference to the best single modality, cost"
    reference = "mmauto"
    title = "Leaderboard"
    order = 20

    def render(self, study: StudyView) -> Sequence[Block]:
        """One table, best on validation first."""
        found = study.comparison
        if not found.standings:
            return [Text("No arm has been confirmed yet.")]
        better = "higher" if found.maximise else "lower"
        reference = found.reference or "single modality"
        return [
            Table(
                (
                    "arm", "kind", "validation", "test", "95 % interval",
                    f"gain over {reference}", "95 % interval of the gain", "train, s",
                    "parameters", "latency of 1, ms", "of 64, ms", "memory, MB", "trials",
                    "failed",
                ),
                [_row(line, found.winner) for line in found.standings],
                f"{metric_label(study)} for {found.target}, {better} is better; means over seeds. "
                "The order is that of validation, on which the winner (★) and the reference were "
                "chosen; test only estimates. A gain is paired and positive when better. Intervals "
                "resample seeds and rows (whole groups). Training time leaves encoding out; "
                "latency is for prepared inputs, encoders included; a dash: not applicable.",
                sortable=True,
            )
        ]  # fmt: skip


def _row(line: Standing, winner: str | None) -> list[str | int | float | None]:
    costs = line.costs
    return [
        f"{line.arm.name} ★" if line.arm.name == winner else line.arm.name,
        line.arm.stage,
        line.validation,
        line.test.value,
        _interval(line.test),
        line.difference.value if line.difference else None,
        _interval(line.difference) if line.difference else "reference",
        costs.train_seconds or None,
        costs.parameters or None,
        costs.latency_1 or None,
        costs.latency_64 or None,
        round(costs.peak_memory / 2**20) or None,
        line.trials,
        line.failed,
    ]


def _interval(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"
