"""Arms over several data sets as blocks: average ranks, what they prove, and a diagram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from mmauto.answers.ranks import FEW_SETS, LEVEL, Ranking
from mmauto.blocks import Block, Figure, Table, Text
from mmauto.views import StudyView

HUE = "#0072B2"


def rank_blocks(views: Sequence[StudyView], found: Ranking) -> list[Block]:
    """Sentences, the diagram where there is a test, and the table."""
    cells: list[list[str | int | float | None]] = [
        [name, float(mean), *(f"{s:.3f} ({r:g})" for s, r in zip(scores, ranks, strict=True))]
        for name, mean, scores, ranks in zip(
            found.arms, found.means, found.scores.T, found.ranks.T, strict=True
        )
    ]
    caption = (
        "The test metric of each study, and in brackets the arm's rank in it, 1 being best; only "
        "the arms that all studies have. Scores of different data sets cannot be averaged, ranks "
        "can (Demsar 2006)."
    )
    table = Table(("arm", "average rank", *(v.name for v in views)), cells, caption, sortable=True)
    diagram = [] if math.isnan(found.critical) else [_diagram(found)]
    return [*(Text(text, "lead") for text in _sentences(views, found)), *diagram, table]


def _sentences(views: Sequence[StudyView], found: Ranking) -> list[str]:
    best = f"{found.arms[0]} has the best average rank, {found.means[0]:.2f}"
    said = [f"{best}, among {len(found.arms)} arms on {len(views)} studies."]
    if found.sources < len(views):
        said.append(
            f"{found.sources} of the data sets differ; splits and seeds of one data set are not "
            "independent, so their ranks are averaged and count once."
        )
    if found.sources < FEW_SETS:
        said.append(
            f"Whether arms differ over data sets needs {FEW_SETS} data sets or more, here "
            f"{'is' if found.sources == 1 else 'are'} {found.sources}: the ranks describe these "
            "studies and nothing else."
        )
    elif len(found.arms) < 3:
        said.append("The Friedman test needs three arms that all studies have, here are two.")
    elif found.p < LEVEL:
        said.append(
            f"The arms are not equally good (Friedman test, {_chance(found.p)}); average ranks "
            f"that are more than {found.critical:.2f} apart are told apart (Nemenyi test)."
        )
    else:
        said.append(
            f"These data sets cannot tell the arms apart (Friedman test, {_chance(found.p)})."
        )
    return said


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _diagram(found: Ranking) -> Figure:
    """Demsar's diagram, turned so that arms have rows: names of any length have room."""
    joined = [f"not told apart {place}" for place in range(1, len(found.together) + 1)]
    means = dict(zip(found.arms, found.means.tolist(), strict=True))
    bars = [
        (name, means[own[0]], means[own[-1]])
        for name, own in zip(joined, found.together, strict=True)
    ]
    scale, names = "critical difference", [escape(name, quote=False) for name in found.arms]
    rows = [scale, *names, *joined]
    most = max(len(means), 1.0 + found.critical)
    data = [
        _bar(scale, 1.0, 1.0 + found.critical, "text"),
        *(_bar(*bar, HUE) for bar in bars),
        {
            "type": "scatter", "mode": "markers", "x": list(means.values()),
            "y": names, "marker": {"size": 12, "color": HUE},
            "hovertemplate": "%{y}: %{x:.2f}<extra></extra>", "showlegend": False,
        },
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "average rank (1 is best)"}, "range": [0.8, most + 0.2]},
        "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": rows[::-1]},
    }
    return Figure(
        data,
        layout,
        "Critical-difference diagram: a dot is an arm's average rank, further left is better. The "
        "top bar is as long as two ranks must be apart to be told apart (Nemenyi test, 5 %); each "
        "bar below joins arms that are closer than that.",
        f"critical difference {found.critical:.2f}; "
        + "; ".join(f"{name} {mean:.2f}" for name, mean in means.items()),
        110 + 30 * len(rows),
    )


def _bar(row: str, low: float, high: float, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": [low, high], "y": [row, row],
        "line": {"width": 6, "color": colour}, "showlegend": False,
        "hovertemplate": "%{x:.2f}<extra></extra>",
    }  # fmt: skip
