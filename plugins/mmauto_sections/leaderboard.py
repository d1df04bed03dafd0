"""All confirmed arms, and their average, in sortable tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmauto.plugin import (
    Block,
    Comparison,
    Fold,
    Interval,
    Section,
    Standing,
    StudyView,
    Table,
    Text,
)
from mmauto_sections.colours import metric_label

Cell = str | int | float | None


class Leaderboard(Section):
    """Validation, test with interval and paired difference; then what each arm costs."""

    name = "leaderboard"
    summary = "validation and test scores with intervals and p values, cost"
    reference = "mmauto"
    title = "Leaderboard"
    order = 30

    def render(self, study: StudyView) -> Sequence[Block]:
        """Two tables, best on validation first."""
        if not study.comparison.standings:
            return [Text("No arm has been confirmed yet.")]
        return [_scores(study), Fold("What each arm costs", [_costs(study.comparison)])]


def _scores(study: StudyView) -> Table:
    found = study.comparison
    searched = any(line.arm.name in study.optimism for line in found.lines)
    return Table(
        (
            "arm", "kind", *(("best trial", "corrected") if searched else ()), "validation",
            "test", "95 % interval", "gain", "95 % interval of the gain", "p", "p (Holm)",
        ),
        [
            [
                _name(line, found), line.arm.stage,
                *(_luck(line, study) if searched else ()), line.validation,
                line.test.value, _interval(line.test), *_gain(line, found),
            ]
            for line in found.lines
        ],
        _explained(study, searched),
        sortable=True,
    )  # fmt: skip


def _luck(line: Standing, study: StudyView) -> list[Cell]:
    known = study.optimism.get(line.arm.name)
    return [known.best, known.corrected] if known else [None, None]


def _gain(line: Standing, found: Comparison) -> list[Cell]:
    gain = line.difference
    if gain is None:
        return [None, "reference" if line.arm.name == found.reference else None, None, None]
    p, corrected = (None if math.isnan(value) else value for value in (line.p, line.p_holm))
    return [gain.value, _interval(gain), p, corrected]


def _explained(study: StudyView, searched: bool) -> str:
    found = study.comparison
    better = "higher" if found.maximise else "lower"
    sentences = [
        f"Scores are {metric_label(study)} for {found.target}, {better} is better; means over "
        "seeds. The order is that of validation, on which the winner (★) and the reference were "
        "chosen; test was opened once, by the confirmation runs, and only estimates.",
    ]
    if searched:
        sentences.append(
            "The best trial of a search is partly the luckiest: corrected is what a trial so "
            "chosen is worth on rows that took no part in choosing it."
        )
    if found.reference:
        sentences.append(
            f"The gain is that over {found.reference}, paired, positive when better; p is that of "
            "swapping predictions row by row, and allows for the number of fusions under Holm."
        )
    if found.ensemble:
        sentences.append(
            "The ensemble averages arms with weights from validation; it needs all of their "
            "models and is not ranked."
        )
    return " ".join([*sentences, "Intervals resample seeds and rows (whole groups)."])


def _costs(found: Comparison) -> Table:
    rows: list[list[Cell]] = [
        [
            _name(line, found),
            line.costs.train_seconds or None,
            line.costs.parameters or None,
            line.costs.frozen_parameters or None,
            round(line.costs.peak_memory / 2**20) or None,
            line.costs.latency_1 or None,
            line.costs.latency_64 or None,
            line.trials,
            line.failed,
        ]
        for line in found.lines
    ]
    return Table(
        (
            "arm", "train, s", "trained parameters", "frozen", "memory, MB",
            "latency of 1, ms", "of 64, ms", "trials", "failed",
        ),
        rows,
        "What it costs: training leaves encoding out; frozen parameters are those of "
        "pretrained encoders; latency is that of one input and of 64 at once, prepared, "
        "encoders included. A dash: does not apply.",
        sortable=True,
    )  # fmt: skip


def _name(line: Standing, found: Comparison) -> str:
    return f"{line.arm.name} ★" if line.arm.name == found.winner else line.arm.name


def _interval(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"
