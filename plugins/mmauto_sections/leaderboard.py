"""All confirmed arms in one sortable table."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Comparison, Interval, Section, Standing, StudyView, Table, Text
from mmauto_sections.colours import metric_label


class Leaderboard(Section):
    """Validation, test with interval and paired difference; then what each arm costs."""

    name = "leaderboard"
    summary = "test score with interval, difference to the best single modality, cost"
    reference = "mmauto"
    title = "Leaderboard"
    order = 20

    def render(self, study: StudyView) -> Sequence[Block]:
        """Two tables, best on validation first."""
        found = study.comparison
        if not found.standings:
            return [Text("No arm has been confirmed yet.")]
        better = "higher" if found.maximise else "lower"
        gain = (
            f"The gain is that over {found.reference}, paired, positive when better. "
            if found.reference
            else ""
        )
        scores = Table(
            (
                "arm", "kind", "validation", "test", "95 % interval", "gain",
                "95 % interval of the gain",
            ),
            [_scores(line, found) for line in found.standings],
            f"{metric_label(study)} for {found.target}, {better} is better; means over seeds. The "
            "order is that of validation, on which the winner (★) and the reference were chosen; "
            f"test only estimates. {gain}Intervals resample seeds and rows (whole groups).",
            sortable=True,
        )  # fmt: skip
        costs = Table(
            (
                "arm", "train, s", "trained parameters", "frozen", "memory, MB",
                "latency of 1, ms", "of 64, ms", "trials", "failed",
            ),
            [_costs(line, found) for line in found.standings],
            "What it costs: training leaves encoding out; frozen parameters are those of "
            "pretrained encoders; latency is that of one input and of 64 at once, prepared, "
            "encoders included. A dash: does not apply.",
            sortable=True,
        )  # fmt: skip
        return [scores, costs]


def _scores(line: Standing, found: Comparison) -> list[str | int | float | None]:
    gain = line.difference
    missing = "reference" if line.arm.name == found.reference else None
    return [
        _name(line, found),
        line.arm.stage,
        line.validation,
        line.test.value,
        _interval(line.test),
        gain.value if gain else None,
        _interval(gain) if gain else missing,
    ]


def _costs(line: Standing, found: Comparison) -> list[str | int | float | None]:
    costs = line.costs
    return [
        _name(line, found),
        costs.train_seconds or None,
        costs.parameters or None,
        costs.frozen_parameters or None,
        round(costs.peak_memory / 2**20) or None,
        costs.latency_1 or None,
        costs.latency_64 or None,
        line.trials,
        line.failed,
    ]


def _name(line: Standing, found: Comparison) -> str:
    return f"{line.arm.name} ★" if line.arm.name == found.winner else line.arm.name


def _interval(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"
