"""What the score costs: which arms are worth it, cost by cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmauto.plugin import (
    Block,
    Figure,
    Fold,
    Section,
    StudyView,
    Table,
    Text,
    bargains,
    priced,
)
from mmauto_sections.brackets import times
from mmauto_sections.colours import HUES, metric_label, plain, styles

AXES: Mapping[str, tuple[str, str, float]] = {
    # cost: its name, its unit, how many of the stored unit make one
    "train_seconds": ("training time", "s", 1),
    "latency_1": ("latency of one input", "ms", 1),
    "latency_64": ("latency of 64 inputs", "ms", 1),
    "parameters": ("trained parameters", "", 1),
    "all_parameters": ("all parameters", "", 1),
    "peak_memory": ("peak memory", "MB", 2**20),
}
NONE = "no other that is clearly cheaper"
MEMORY = " Memory is that of the whole process, which libraries fill before any model does."
WIDE = 20
"""Largest by smallest cost from which an axis is logarithmic."""

BEHIND = HUES[7]
FIRST = 2
"""Figures that are shown; the others are folded away."""
READING = (
    "In the figures, the arms on the line are the front: nothing else is as cheap and as good; "
    "they are named below. "
    "Bars are 95 % intervals; point at a grey dot for its name."
)


class Cost(Section):
    """A Pareto front a cost, and the cheapest arm that is as good as the winner."""

    name = "cost"
    summary = "test score against time, latency, size and memory, with Pareto fronts"
    reference = "Pareto 1906"
    title = "What it costs"
    order = 50

    def render(self, study: StudyView) -> Sequence[Block]:
        """Sentences, a small figure a cost, who is on which front."""
        every = {cost: points for cost, points in priced(study).items() if points}
        if not every:
            return []
        found = bargains(study)
        figures = [
            _figure(study, cost, points)
            for cost, points in every.items()
            if len({point.cost for point in points}) > 1
        ]
        rest: list[Block] = [*figures[FIRST:], _members(every, study)]
        return [
            *_words(found, study), *([Text(READING, "note")] if figures else []),
            *figures[:FIRST], *_table(found, study),
            Fold("Other costs, and who is on which front", rest),
        ]  # fmt: skip


def _words(found: Mapping[str, Any], study: StudyView) -> list[Text]:
    """The cheapest arm in training and in use that is as good as the winner."""
    winner = study.comparison.winner
    clauses = [
        f"{one.arm} {verb} {times(one.times)} times {faster} ({_signed(one.gain)})"
        for cost, verb, faster in (
            ("train_seconds", "trains", "faster"),
            ("latency_1", "answers", "faster"),
            ("all_parameters", "is", "smaller"),
        )
        if (one := found.get(cost)) and one.gain is not None
    ]
    if clauses:
        return [
            Text(
                f"Cheaper than {winner}, and not worse on test by more than chance: "
                f"{'; '.join(clauses)}. In brackets, the paired gain over {winner} in "
                f"{metric_label(study)} with its 95 % interval: its lower end is how much worse it "
                "may still be.",
                "lead",
            )
        ]
    return [
        Text(f"No arm is clearly cheaper than {winner} without being worse by more than chance.")
    ]


def _figure(study: StudyView, cost: str, points: Sequence[Any]) -> Figure:
    name, unit, one = AXES[cost]
    members = [point for point in points if point.front]
    wide = points[-1].cost > WIDE * points[0].cost
    corner = "top left" if study.comparison.maximise else "bottom left"
    label = metric_label(study)
    behind = [point for point in points if not point.front]
    looks = styles(study)
    # names stand in the legend: beside dots that are close they would cover each other
    traces = [
        *([{**_dots(behind, cost, "behind", BEHIND), "showlegend": False}] if behind else []),
        {
            "type": "scatter", "mode": "lines", "name": "front", "showlegend": False,
            "x": [point.cost / one for point in members],
            "y": [point.line.test.value for point in members],
            "line": {"color": BEHIND, "width": 1.5, "shape": "hv"}, "hoverinfo": "skip",
        },
        *(_named(point, cost, study, looks[point.line.arm.name]) for point in members),
    ]  # fmt: skip
    return Figure(
        traces,
        {
            "xaxis": {
                "title": {"text": f"{name}, {unit}" if unit else name},
                "type": "log" if wide else "linear",
            },
            "yaxis": {"title": {"text": f"test {label}"}},
            "showlegend": True,
        },
        f"Test {label} against {name}: the best place is {corner}."
        + (" The scale of cost is logarithmic." if wide else ""),
        f"On the front of {name}: " + "; ".join(
            f"{point.line.arm.name} {_number(point.cost / one)}{f' {unit}' if unit else ''}, "
            f"{point.line.test.value:.3f}" for point in members
        ),
        320,
    )  # fmt: skip


def _named(point: Any, cost: str, study: StudyView, look: Mapping[str, Any]) -> dict[str, Any]:
    """An arm on the front, as it looks in other figures."""
    return _dots([point], cost, plain(_starred(point, study)), look["color"], look["symbol"])


def _dots(
    points: Sequence[Any], cost: str, name: str, color: str, symbol: str = "circle"
) -> dict[str, Any]:
    _, unit, one = AXES[cost]
    tests = [point.line.test for point in points]
    return {
        "type": "scatter", "mode": "markers", "name": name, "cliponaxis": False,
        "x": [point.cost / one for point in points], "y": [test.value for test in tests],
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": color,
            "array": [test.high - test.value for test in tests],
            "arrayminus": [test.value - test.low for test in tests],
        },
        "marker": {"color": color, "symbol": symbol, "size": 9},
        "hovertext": [plain(point.line.arm.name) for point in points],
        "hovertemplate": f"%{{hovertext}}: %{{y:.3f}} at %{{x:.4~s}} {unit}<extra></extra>",
    }  # fmt: skip


def _members(every: Mapping[str, Sequence[Any]], study: StudyView) -> Table:
    on = {cost: [p.line.arm.name for p in points if p.front] for cost, points in every.items()}
    measured = {cost: [p.line.arm.name for p in points] for cost, points in every.items()}
    rows: list[list[str | int | float | None]] = [
        [
            line.arm.name + (" ★" if line.arm.name == study.comparison.winner else ""),
            line.test.value,
            *(
                "front" if line.arm.name in on[cost]
                else "behind" if line.arm.name in measured[cost] else None
                for cost in every
            ),
        ]
        for line in study.comparison.lines
    ]  # fmt: skip
    return Table(
        ("arm", "test", *(AXES[cost][0] for cost in every)),
        rows,
        "Front: no other arm is both as cheap and as good. A dash: not measured. Test estimates "
        "make these fronts, so arms that are close may change places on other rows.",
        sortable=True,
    )


def _table(found: Mapping[str, Any], study: StudyView) -> list[Table]:
    if not found:
        return []
    return [
        Table(
            ("cost", "cheapest that is as good", "times cheaper", "gain over the winner"),
            [
                [
                    AXES[cost][0],
                    *(
                        [one.arm, times(one.times), _signed(one.gain)]
                        if one.gain
                        else [NONE, None, None]
                    ),
                ]
                for cost, one in found.items()
            ],
            f"As good: not worse than {study.comparison.winner} on test by more than chance "
            "(paired, 95 % intervals over seeds and rows). Few test rows let many arms pass."
            + (MEMORY if "peak_memory" in found else ""),
        )
    ]


def _starred(point: Any, study: StudyView) -> str:
    name: str = point.line.arm.name
    return f"{name} ★" if name == study.comparison.winner else name


def _signed(found: Any) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
