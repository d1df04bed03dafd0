"""How far the winner's probabilities can be taken at their word, or its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmauto.plugin import Block, Figure, Interval, Section, StudyView, Table, Text, reliability
from mmauto_sections.abstaining import abstaining
from mmauto_sections.brackets import bracketed, percent
from mmauto_sections.colours import plain, styles
from mmauto_sections.residuals import residuals

if TYPE_CHECKING:
    from mmauto.plugin import Agreement, Reliability


class Calibration(Section):
    """Reliability before and after temperature scaling, and what is gained by not answering."""

    name = "calibration"
    summary = "reliability of the winner's probabilities, errors by share answered, residuals"
    reference = "Guo et al. 2017; Geifman and El-Yaniv 2017"
    title = "How far to trust it"
    order = 82

    def render(self, study: StudyView) -> Sequence[Block]:
        """Words, the reliability diagram and its figures; the curve of errors by share answered."""
        if study.task.targets[study.task.primary].kind == "regression":
            return residuals(study)
        found = reliability(study)
        rest = abstaining(study)
        if not found and rest:
            note = (
                "In pooled folds each fold's threshold is put at 0.5, which bends probabilities; "
                "whether they can be trusted stands in the reports of the folds."
            )
            return [Text(note, "note"), *rest]
        if not found:
            return []
        return [*_words(found[0]), _diagram(found[0], study), _table(found), *rest]


def _words(found: Reliability) -> list[Text]:
    """What the data allows to say; no claim where chance may account for what is seen."""
    raw, arm = found.raw, found.arm
    average = (
        f"on average it gives its answer {percent(raw.certainty)} and is right in "
        f"{percent(raw.accuracy)} of the test rows, a difference of {_points(raw.excess)}"
    )
    said = {
        "over": f"{arm} is over-confident: {average}.",
        "under": f"{arm} is under-confident: {average}.",
        "close": f"The probabilities of {arm} can be taken at their word: {average}.",
        "uneven": (
            f"The probabilities of {arm} are right on average but not each for itself: {average}, "
            f"yet the expected calibration error is {bracketed(raw.error)}."
        ),
        "unknown": (
            f"Whether the probabilities of {arm} can be trusted, these test rows cannot tell: "
            f"{average}, and their error may be as large as {raw.error.high:.3f}."
        ),
    }[raw.judgement]
    blocks = [Text(said, "lead")]
    if found.gained is not None and found.gained.low > 0:
        blocks.append(
            Text(
                f"Dividing its logits by {found.temperature:.2f}, as fitted on validation rows, "
                f"lowers the log loss by {bracketed(found.gained)}: use scaled probabilities."
            )
        )
    return blocks


def _points(found: Interval) -> str:
    value, low, high = (100 * end for end in (found.value, found.low, found.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _diagram(found: Reliability, study: StudyView) -> Figure:
    spec = study.task.targets[study.task.primary]
    look = styles(study)[found.arm]
    if spec.kind == "multilabel":
        names = ("probability of a label", "share that has it")
    elif len(spec.classes) == 2:
        names = (f"probability of {spec.classes[1]}", f"share that is {spec.classes[1]}")
    else:
        names = ("probability of the class that is named", "share that is of it")
    traces = [_line("as they are", found.raw, look["color"], look["symbol"])]
    if found.scaled is not None:
        name = f"logits divided by {found.temperature:.2f}"
        traces.append(_line(name, found.scaled, "#8C8C8C", f"{look['symbol']}-open"))
    exact = {
        "type": "scatter", "mode": "lines", "name": "exact", "x": [0, 1], "y": [0, 1],
        "line": {"color": "text", "dash": "dot", "width": 1.5},
    }  # fmt: skip
    return Figure(
        [*traces, exact],
        {
            "xaxis": {"title": {"text": plain(names[0])}, "range": [-0.02, 1.02]},
            "yaxis": {"title": {"text": plain(names[1])}, "range": [-0.02, 1.02]},
        },
        f"What {found.arm} says against what came true on the test rows, in bins of equally many; "
        "below the dotted line it claims too much. Bars are 95 % intervals over rows and seeds; a "
        "bin in which all rows agree shows none, however few they are. The temperature is fitted "
        "on validation rows.",
        "; ".join(f"says {one.said:.2f}, right {one.right.value:.2f}" for one in found.raw.bins),
        460,
    )


def _line(name: str, found: Agreement, colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": name,
        "x": [one.said for one in found.bins], "y": [one.right.value for one in found.bins],
        "line": {"color": colour, "width": 1.5}, "marker": {"symbol": symbol, "size": 8},
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0,
            "array": [one.right.high - one.right.value for one in found.bins],
            "arrayminus": [one.right.value - one.right.low for one in found.bins],
        },
    }  # fmt: skip


def _table(found: Sequence[Reliability]) -> Table:
    rows = []
    for one in found:
        rows.append(_row(one.arm, "as they are", one.raw))
        if one.scaled is not None:
            rows.append(_row(one.arm, f"logits divided by {one.temperature:.2f}", one.scaled))
    return Table(
        ("arm", "probabilities", "calibration error", "by chance", "Brier score", "log loss"),
        rows,
        "Means over seeds with 95 % intervals; less is better. The expected calibration error is "
        "the mean distance from the dotted line; by chance: what exact probabilities would show on "
        "so few rows. Brier score and log loss also fall as the classes are told apart better.",
    )


def _row(arm: str, which: str, one: Agreement) -> list[str | int | float | None]:
    return [
        arm, which, bracketed(one.error), one.chance, bracketed(one.brier),
        bracketed(one.log_loss),
    ]  # fmt: skip
