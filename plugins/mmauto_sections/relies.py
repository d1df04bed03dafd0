"""What the winner relies on, and what the modalities know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import (
    Block,
    Figure,
    Section,
    StudyView,
    Table,
    Text,
    contributions,
    needs,
    profile,
)
from mmauto_sections.colours import metric_label, modality_hues, plain
from mmauto_sections.folding import short
from mmauto_sections.pooled import is_pooled

MOST_ARMS = 12
MOST_PAIRED = 4
"""Arms whose pairs are shown: those that are best on validation."""


class Relies(Section):
    """Shapley values of the modalities, arm by arm, with the interaction of pairs."""

    name = "relies"
    summary = "what each modality contributes to each arm, alone and together"
    reference = "Shapley 1953; Lundberg and Lee 2017; Grabisch and Roubens 1999"
    title = "What it relies on"
    order = 60

    def render(self, study: StudyView) -> Sequence[Block]:
        """A profile of the data, then a stacked bar an arm, then pairs."""
        found = profile(study)
        blocks: list[Block] = []
        if found is not None:
            blocks.append(Text(f"{found.text}; {found.advice}.", "lead"))
        if is_pooled(study):
            blocks.append(
                Text(
                    "Each fold's own report tells what its models rely on, how they break and "
                    f"which rows go wrong: mmauto report {study.name}/folds/1, and so on.",
                    "note",
                )
            )
        each = contributions(study)[:MOST_ARMS]
        if not each:
            return blocks
        blocks += [Text(text) for text in _lazy(each, study)]
        return [*blocks, _bars(each, study), *_classes(study), *_pairs(each, study)]


def _classes(study: StudyView) -> list[Block]:
    winner = str(study.comparison.winner)
    found = needs(study, winner)
    if not found:
        return []
    keys = list(found[0].lost)
    rows: list[list[str | int | float | None]] = [
        [one.name, one.rows, one.found.value, *(_loss(one.lost[key]) for key in keys)]
        for one in found
    ]
    table = Table(
        ("class", "rows", "found", *(f"lost without {key}" for key in keys)), rows,
        f"Which class needs which modality: the share of each class that {winner} finds, and "
        "how much of it is lost where a modality's samples are those of other rows, with 95 % "
        "intervals. Near zero: the class does not need it.",
    )  # fmt: skip
    return [short(table, "Which class needs which modality")]


def _loss(found: Any) -> str:
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _lazy(each: Sequence[Any], study: StudyView) -> list[str]:
    return [
        f"{one.arm} hardly uses {' and '.join(one.lazy)}: its answers are about as good with that "
        "of other rows in its place."
        for one in each
        if one.lazy and one.arm == study.comparison.winner
    ]


def _bars(each: Sequence[Any], study: StudyView) -> Figure:
    keys = list(dict.fromkeys(key for one in each for key in one.values))
    hues = modality_hues(study)
    arms = list(reversed([one.arm for one in each]))
    by_arm = {one.arm: one for one in each}
    traces = []
    for key in keys:
        own = [(arm, by_arm[arm].values[key]) for arm in arms if key in by_arm[arm].values]
        traces.append(
            {
                "type": "bar", "orientation": "h", "name": plain(key),
                "x": [found.value for _, found in own], "y": [plain(arm) for arm, _ in own],
                "error_x": {
                    "type": "data", "symmetric": False, "thickness": 1.5, "width": 3,
                    "array": [found.high - found.value for _, found in own],
                    "arrayminus": [found.value - found.low for _, found in own],
                },
                "marker": {"color": hues[key]},
                "hovertemplate": "%{y}, " + plain(key) + ": %{x:.3f}<extra></extra>",
            }
        )  # fmt: skip
    label = metric_label(study)
    asked = len(study.probes.rows) if study.probes else 0
    return Figure(
        traces,
        {
            "barmode": "group",
            "xaxis": {
                "title": {
                    "text": f"contribution to {label}" if study.comparison.maximise
                    else f"how much it lessens {label}"
                }
            },
            "yaxis": {"type": "category", "categoryorder": "array",
                      "categoryarray": [plain(arm) for arm in arms]},
        },
        f"Each modality's Shapley value: the mean gain in {label} of adding its real samples, over "
        "all orders, where the others' or its own come from other rows until then; the values of "
        "an arm sum to what it gains over knowing nothing of the row; positive is better. Bars are "
        f"95 % intervals over the {asked} test rows asked about (one kept model an arm). Near "
        "zero: the model does not use the modality.",
        "; ".join(
            f"{one.arm}: " + ", ".join(f"{k} {v.value:+.3f}" for k, v in one.values.items())
            for one in each
        ),
        140 + 34 * len(arms) * max(1, len(keys)) // 2 + 20 * len(arms),
    )  # fmt: skip


def _pairs(each: Sequence[Any], study: StudyView) -> list[Block]:
    rows: list[list[str | int | float | None]] = [
        [
            one.arm, " with ".join(pair), found.value, f"{found.low:+.3f} to {found.high:+.3f}",
            _word(found),
        ]
        for one in each[:MOST_PAIRED]
        for pair, found in one.interactions.items()
    ]  # fmt: skip
    if not rows:
        return []
    table = Table(
        ("arm", "pair", "interaction", "95 % interval", "which means"), rows,
        f"What two modalities gain in {metric_label(study)} together beyond what they gain one "
        "by one, in the best arms. Positive: they are read together; negative: they say the "
        "same, or the metric has no room left; about zero: the arm adds them up.",
    )  # fmt: skip
    return [short(table, "What modalities gain in pairs")]


def _word(found: Any) -> str:
    if found.low > 0:
        return "more together"
    if found.high < 0:
        return "partly the same"
    return "no interaction can be told from chance"
