"""How the winner and the reference serve the subgroups that were named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.plugin import Block, Figure, Interval, Section, StudyView, Table, Text, subgroups
from mmauto_sections.brackets import percent
from mmauto_sections.colours import metric_label, plain, styles
from mmauto_sections.folding import short

if TYPE_CHECKING:
    from mmauto.plugin import Subgroup

SHIFT = 0.13
"""Half the distance of the two dots of a subgroup, in rows of the figure."""

TELLS = 0.95
"""Share of one class in every subgroup from which the column tells the label."""

FEW = 5
"""Rows below which a subgroup's share of one class means nothing."""

UNEVEN = ("average_precision", "precision", "f1")
"""Metrics that rise with the share of positives, however good the model is."""


class Subgroups(Section):
    """A dot plot a column, and all figures in a table."""

    name = "subgroups"
    summary = "the metric by the values of named columns, and which gaps are more than chance"
    reference = "Holm 1979; Chouldechova and Roth 2020"
    title = "Does it serve all alike?"
    order = 64

    def render(self, study: StudyView) -> Sequence[Block]:
        """A sentence and a figure a column, then the table."""
        found = subgroups(study)
        if not found:
            return []
        blocks: list[Block] = []
        for column in dict.fromkeys(one.column for one in found):
            own = [one for one in found if one.column == column]
            blocks += [
                *_told(column, study), Text(_words(own, study), "lead"), _figure(own, study)
            ]  # fmt: skip
        if study.task.metric in UNEVEN:
            blocks.append(
                Text(
                    f"The {metric_label(study)} is higher where more rows are positive, so a gap "
                    "can come from that alone; compare their shares before blaming the model.",
                    "note",
                )
            )
        return [*blocks, short(_table(found, study), "All subgroups")]


def _told(column: str, study: StudyView) -> list[Text]:
    """A warning where a row's subgroup all but tells its label."""
    spec, labels = study.task.targets[study.task.primary], study.subgroups[column]
    if spec.kind not in ("binary", "multiclass"):
        return []
    truth = study.truth["test"][spec.name]
    known = truth >= 0  # False for NaN, too
    kinds, counts = np.unique(truth[known], return_counts=True)
    names = [name for name, rows in Counter(labels[known].tolist()).items() if rows >= FEW]
    pure = [_purest(truth[known & (labels == name)]) for name in names]
    shares = [share for _, share in pure]
    differ = len({label for label, _ in pure}) > 1  # else it is the labels that are uneven
    if len(kinds) < 2 or not differ or min(shares) < TELLS:
        return []
    least = math.floor(100 * min(shares)) / 100
    return [
        Text(
            f"Warning: {column} all but tells {spec.name}: in each of its subgroups at least "
            f"{percent(least)} of the test rows are of one class (of all rows "
            f"{percent(counts.max() / counts.sum())}). A gap between them is one between "
            "classes, and says nothing of how people or places are served; choose another column.",
            "warning",
        )
    ]


def _purest(labels: np.ndarray) -> tuple[float, float]:
    """The most frequent class, and its share."""
    kinds, counts = np.unique(labels, return_counts=True)
    return float(kinds[counts.argmax()]), float(counts.max() / len(labels))


def _words(found: Sequence[Subgroup], study: StudyView) -> str:
    """Who is served worse or better, by how much and how sure; or what could have been seen."""
    winner = found[0].arm
    judged = [one for one in found if one.arm == winner and math.isfinite(one.p)]
    if not judged:
        return (
            f"No subgroup of {found[0].column} can be judged: each needs enough test rows, and "
            "enough others to be held against."
        )
    worse = sorted((o for o in judged if o.differs and o.gap.value < 0), key=lambda o: o.gap.value)
    better = sorted((o for o in judged if o.differs and o.gap.value > 0), key=lambda o: o.p_holm)
    if worse or better:
        # of two subgroups, one is better by what the other is worse
        both = worse if judged[0].tests == 1 else [*worse, *better]
        return " ".join(_gap(one, found, study) for one in both)
    largest = max(judged, key=lambda one: abs(one.gap.value))
    seen = max(one.detectable for one in judged)
    return (
        f"No gap between subgroups of {largest.column} can be told from chance: the largest of "
        f"{winner} is that of {largest.name}, {_signed(largest.gap)} ({_chance(largest)}). Gaps "
        f"from about {seen:.3f} on would have been found four times out of five."
    )


def _gap(one: Subgroup, found: Sequence[Subgroup], study: StudyView) -> str:
    side = "worse" if one.gap.value < 0 else "better"
    label = metric_label(study)
    text = (
        f"{one.name} is served {side} by {one.arm}: {label} {one.value.value:.3f} on {one.rows} "
        f"rows, which is {side} than on the others by {_size(one.gap)} ({_chance(one)})."
    )
    other = next((o for o in found if o.label == one.label and o.arm != one.arm), None)
    if other is None or not math.isfinite(other.gap.value):
        return text
    if other.differs and other.gap.value * one.gap.value > 0:
        return f"{text} So it is by {other.arm}, by {_size(other.gap)}."
    return f"{text} For {other.arm}, its gap of {_signed(other.gap)} is not more than chance."


def _chance(one: Subgroup) -> str:
    p = "p < 0.001" if one.p_holm < 0.001 else f"p = {one.p_holm:.3f}"
    return p if one.tests == 1 else f"{p}, allowing for {one.tests} subgroups"


def _size(found: Interval) -> str:
    low, high = sorted((abs(found.low), abs(found.high)))
    return f"{abs(found.value):.3f} [{low:.3f}, {high:.3f}]"


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _figure(found: Sequence[Subgroup], study: StudyView) -> Figure:
    winner, looks = found[0].arm, styles(study)
    arms = list(dict.fromkeys(one.arm for one in found))
    labels = list(dict.fromkeys(one.label for one in found))
    counts = {one.label: one.rows for one in found}
    label = metric_label(study)
    whole = next(s.test.value for s in study.comparison.standings if s.arm.name == winner)
    traces = [
        _dots([one for one in found if one.arm == arm], labels, looks[arm], arm == winner, arms)
        for arm in arms
    ]
    line = {
        "type": "line", "x0": whole, "x1": whole, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": "text", "dash": "dot", "width": 1.5},
    }  # fmt: skip
    hollow = f", hollow ones {arms[1]}" if len(arms) > 1 else ""
    return Figure(
        traces,
        {
            "title": {"text": plain(found[0].column)},
            "xaxis": {"title": {"text": f"test {label} ({study.task.primary})"}},
            "yaxis": {
                "tickvals": list(range(len(labels))),
                "ticktext": [plain(f"{name} ({counts[name]})") for name in labels],
                "range": [len(labels) - 0.5, -0.5], "automargin": True,
            },
            "shapes": [line],
        },
        f"{label} on the test rows of each subgroup, their number in brackets; "
        f"{'higher' if study.comparison.maximise else 'lower'} is better. Filled marks are "
        f"{winner}{hollow}; bars are 95 % intervals over rows and seeds. The dotted line is "
        f"{winner} on all test rows. Overlapping bars do not mean that there is no gap, and with "
        "many subgroups some stand apart by chance: the sentence above says what was tested.",
        "; ".join(
            f"{one.arm}, {one.name}: {one.value.value:.3f}"
            for one in found
            if math.isfinite(one.value.value)
        )
        or "the metric is defined on no subgroup",
        140 + 40 * len(labels),
    )  # fmt: skip


def _dots(
    found: Sequence[Subgroup],
    labels: Sequence[str],
    look: dict[str, Any],
    filled: bool,
    arms: Sequence[str],
) -> dict[str, Any]:
    """One arm's dots, a little above or below the middle of its subgroup's row."""
    known = [one for one in found if math.isfinite(one.value.value)]
    shift = 0.0 if len(arms) == 1 else -SHIFT if filled else SHIFT
    return {
        "type": "scatter", "mode": "markers", "name": plain(found[0].arm),
        "x": [one.value.value for one in known],
        "y": [labels.index(one.label) + shift for one in known],
        "marker": {
            "color": look["color"], "size": 10,
            "symbol": look["symbol"] if filled else f"{look['symbol']}-open",
        },
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0,
            "array": [_finite(one.value.high - one.value.value) or 0.0 for one in known],
            "arrayminus": [_finite(one.value.value - one.value.low) or 0.0 for one in known],
        },
    }  # fmt: skip


def _table(found: Sequence[Subgroup], study: StudyView) -> Table:
    counted = any(one.positives is not None for one in found)
    heads = (
        "subgroup", "arm", "rows", *(["positive"] if counted else []), metric_label(study),
        "95 % interval", "gap to the rest", "interval of the gap", "p (Holm)", "judged",
    )  # fmt: skip
    rows: list[list[str | int | float | None]] = [
        [
            one.name, one.arm, one.rows, *([one.positives] if counted else []),
            _finite(one.value.value), _range(one.value), _finite(one.gap.value), _range(one.gap),
            _finite(one.p_holm), _judged(one),
        ]
        for one in found
    ]  # fmt: skip
    return Table(
        heads,
        rows,
        "Gap: how much better the subgroup is served than all other test rows, positive is better; "
        "p: the chance of such a gap if labels had nothing to do with it, allowing for the number "
        "of subgroups of the column.",
        sortable=True,
    )


def _judged(one: Subgroup) -> str:
    if one.small:
        return f"too small to judge ({one.small})"
    if not one.differs:
        return "no gap to be told from chance"
    return "served worse" if one.gap.value < 0 else "served better"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _range(found: Interval) -> str | None:
    if not math.isfinite(found.low):
        return None
    return f"{found.low:.3f} to {found.high:.3f}"
