"""How the arms break when a modality is missing or gets worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import Block, Figure, Fold, Section, StudyView, Table, Text, robustness
from mmauto_sections.colours import metric_label, plain, styles
from mmauto_sections.folding import short

ABSENT = (
    "Where no training row misses a modality (and no modality dropout trains it), what stands "
    "for an absent sample was never trained, and the fall shows that, too."
)
MISSING = "missing"
MOST_CURVES = 6
"""Arms in a figure, best on validation first; the table has all."""


class Robustness(Section):
    """A figure a change, and the area under each curve."""

    name = "robustness"
    summary = "the metric as a modality is missing, noisy, blurred, covered or mistyped"
    reference = "Hendrycks and Dietterich 2019; Belinkov and Bisk 2018"
    title = "How it breaks"
    order = 70

    def render(self, study: StudyView) -> Sequence[Block]:
        """A sentence, a figure a modality that goes missing, then the other changes, a table."""
        found = robustness(study)
        if not found:
            return []
        changes = list(dict.fromkeys((one.modality, one.what) for one in found))
        figures = {
            change: _figure([one for one in found if (one.modality, one.what) == change], study)
            for change in changes
        }
        first = [figure for (_, what), figure in figures.items() if what == MISSING]
        rest = [figure for (_, what), figure in figures.items() if what != MISSING]
        spoilt = [Fold(f"As samples get worse ({len(rest)} figures)", rest)] if rest else []
        note = [Text(ABSENT, "note")] if first else []
        return [
            *_words(found, study),
            *first,
            *note,
            *spoilt,
            short(_table(found, study), "All curves"),
        ]


def _words(found: Sequence[Any], study: StudyView) -> list[Text]:
    """Where the winner loses its gain over the reference."""
    winner, reference = study.comparison.winner, study.comparison.reference
    asked = {one.arm for one in found}
    if winner == reference or not {winner, reference} <= asked:
        return []
    own = [one for one in found if one.arm == winner and one.below is not None]
    if not own:
        text = f"No change that was tried takes the score of {winner} below that of {reference}"
        return [Text(f"{text}, on the rows that were asked about.", "lead")]
    each = "; ".join(f"{_change(one)}, from level {one.below:.2f} on" for one in own)
    return [Text(f"The score of {winner} falls below that of {reference} where {each}.", "lead")]


def _change(one: Any) -> str:
    if one.what == MISSING:
        return f"{one.modality} is missing"
    return f"{one.modality} suffers from {one.what}"


def _figure(found: Sequence[Any], study: StudyView) -> Figure:
    looks, reference = styles(study), study.comparison.reference
    shown = [*found[:MOST_CURVES], *(one for one in found[MOST_CURVES:] if one.arm == reference)]
    one = found[0]
    label = metric_label(study)
    missing = one.what == MISSING
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": plain(curve.arm),
            "x": list(curve.levels), "y": [point.value for point in curve.values],
            "line": {"color": looks[curve.arm]["color"], "dash": looks[curve.arm]["dash"]},
            "marker": {"symbol": looks[curve.arm]["symbol"], "size": 8},
            "error_y": {
                "type": "data", "symmetric": False, "thickness": 1, "width": 0,
                "array": [point.high - point.value for point in curve.values],
                "arrayminus": [point.value - point.low for point in curve.values],
            },
        }
        for curve in shown
    ]  # fmt: skip
    assert study.probes is not None
    rows = len(study.probes.rows) if missing else study.probes.spoilt
    scale = (
        "share of the rows from which it is hidden"
        if missing
        else "severity (1: as bad as is tried)"
    )
    rest = f" The best {len(shown)} of {len(found)} arms." if len(shown) < len(found) else ""
    return Figure(
        traces,
        {
            "title": {"text": plain(f"{one.modality}: {one.what}")},
            "xaxis": {"title": {"text": scale}, "range": [-0.03, 1.03]},
            "yaxis": {"title": {"text": label}},
        },
        f"{label[:1].upper()}{label[1:]} on {rows} test rows as {_change(one)}; "
        f"{'higher' if study.comparison.maximise else 'lower'} is better; bars are 95 % intervals "
        f"over rows. A curve that stays level does not need the modality.{rest}",
        "; ".join(
            f"{c.arm} from {c.values[0].value:.3f} to {c.values[-1].value:.3f}" for c in shown
        ),
    )  # fmt: skip


def _table(found: Sequence[Any], study: StudyView) -> Table:
    rows: list[list[str | int | float | None]] = [
        [
            one.arm, one.modality, one.what, one.values[0].value, one.values[-1].value,
            one.area.value, f"{one.area.low:.3f} to {one.area.high:.3f}", one.below,
        ]
        for one in found
    ]  # fmt: skip
    return Table(
        ("arm", "modality", "change", "as it is", "at its worst", "area", "95 % interval", "below"),
        rows,
        f"Area: the mean {metric_label(study)} on the way from nothing to the worst, "
        f"{'higher' if study.comparison.maximise else 'lower'} is better. Below: the level "
        f"from which {study.comparison.reference} is better under the same change; a dash: never.",
        sortable=True,
    )
