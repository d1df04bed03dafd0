"""How well the winner's probabilities put rows in order, whatever the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.plugin import Block, Figure, Section, StudyView, Text, rankings
from mmauto_sections.colours import DASHES, HUES, plain, styles

if TYPE_CHECKING:
    from mmauto.plugin import Ranking


class Rankings(Section):
    """ROC and precision-recall curves, one class against the rest."""

    name = "rankings"
    summary = "ROC and precision-recall curves of the winner, with their areas"
    reference = "Fawcett 2006; Davis and Goadrich 2006"
    title = "How well it ranks"
    order = 84

    def render(self, study: StudyView) -> Sequence[Block]:
        """Two figures; a note where the test rows are all of one class."""
        found = rankings(study)
        known = study.task.targets[study.task.primary].kind != "regression"
        if not found:
            note = "Curves need test rows of a class and others beside it; these rows have none."
            return [Text(note, "note")] if known and study.confirmations else []
        return [_roc(found, study), _precision(found, study)]


def _roc(found: Sequence[Ranking], study: StudyView) -> Figure:
    areas = [one.auroc for one in found]
    grid = np.linspace(0, 1, len(found[0].hits)).tolist()
    chance = {
        "type": "scatter", "mode": "lines", "name": "by chance (0.500)", "x": [0, 1], "y": [0, 1],
        "line": {"color": "text", "dash": "dot", "width": 1.5},
    }  # fmt: skip
    lines = _lines(found, study, grid, [one.hits for one in found], areas)
    return Figure(
        [*lines, chance],
        _axes("false positives, share of the rest", "true positives, share of the class"),
        f"ROC curves: the share of a class that is found against the share of the rest that is "
        f"taken for it, as the threshold falls; mean over seeds at each false positive rate. "
        f"{_which(found)} In the legend the area: the chance that a row of the class is ranked "
        "above one of the rest.",
        _alt(found, areas, "area under the ROC curve"),
        440,
    )


def _precision(found: Sequence[Ranking], study: StudyView) -> Figure:
    areas = [one.average_precision for one in found]
    grid = np.linspace(0, 1, len(found[0].hits))[1:].tolist()
    lines = _lines(found, study, grid, [one.precisions for one in found], areas)
    shares = ", ".join(dict.fromkeys(f"{one.name} {one.share:.3f}" for one in found))
    return Figure(
        lines,
        _axes("recall", "precision"),
        "Precision-recall curves: how much of what is taken for a class is of it, as more of the "
        f"class is found; mean over seeds at each recall. {_which(found)} In the legend the "
        f"average precision, which by chance is the share of the class ({shares}).",
        _alt(found, areas, "average precision"),
        440,
    )


def _lines(
    found: Sequence[Ranking],
    study: StudyView,
    grid: Sequence[float],
    curves: Sequence[np.ndarray],
    areas: Sequence[float],
) -> list[dict[str, Any]]:
    """By arm where they are of several, by class otherwise."""
    looks = styles(study)
    arms = len({one.arm for one in found}) > 1
    return [
        {
            "type": "scatter", "mode": "lines", "x": list(grid), "y": curve.tolist(),
            "name": f"{plain(one.arm if arms else one.name)} ({area:.3f})",
            "line": {
                "color": looks[one.arm]["color"] if arms else HUES[place % len(HUES)],
                "dash": looks[one.arm]["dash"] if arms else DASHES[place // len(HUES)],
            },
        }
        for place, (one, curve, area) in enumerate(zip(found, curves, areas, strict=True))
    ]  # fmt: skip


def _axes(x: str, y: str) -> dict[str, Any]:
    return {
        "xaxis": {"title": {"text": x}, "range": [-0.02, 1.02]},
        "yaxis": {"title": {"text": y}, "range": [-0.02, 1.02]},
        "showlegend": True,
    }


def _which(found: Sequence[Ranking]) -> str:
    """What the lines stand for."""
    if len({one.name for one in found}) > 1:
        return f"Each class of {found[0].arm} against all others."
    return f"One line an arm, for the class {found[0].name}."


def _alt(found: Sequence[Ranking], areas: Sequence[float], what: str) -> str:
    each = (f"{o.name} by {o.arm} {a:.3f}" for o, a in zip(found, areas, strict=True))
    return f"{what}: {'; '.join(each)}"
