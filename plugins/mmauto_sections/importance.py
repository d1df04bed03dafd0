"""Which hyper-parameters mattered, arm by arm (PED-ANOVA, Watanabe, Bansal & Hutter 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmauto.plugin import ArmView, Figure, StudyView, Text
from mmauto_sections.colours import HUES, plain

MOST = 14
NAMES = {"type": "category", "showgrid": False}
SHARE = {"xaxis": {"title": {"text": "share"}, "rangemode": "tozero"}}


def blocks(study: StudyView) -> list[Figure | Text]:
    """A heat map of parameters and arms, or a sentence where there were too few trials."""
    arms = [arm for arm in study.arms if arm.importances]
    if not arms:
        return [Text("Too few finished trials an arm to say which parameters mattered.", "note")]
    total: dict[str, float] = {}
    for arm in arms:
        for name, share in arm.importances.items():
            total[name] = max(total.get(name, 0.0), share)
    names = sorted(total, key=lambda name: (-total[name], name))[:MOST]
    left = f" The {MOST} largest of {len(total)} are shown." if len(total) > MOST else ""
    return [
        Figure(
            [_heat(arms, names, max(total.values())) if len(arms) > 1 else _bars(arms[0], names)],
            {**(_by_arm(len(arms)) if len(arms) > 1 else SHARE), "yaxis": NAMES},
            "The share of each parameter in telling an arm's good trials from the rest. With "
            "few trials this is a hint, not a measurement. An empty cell was not searched."
            f"{left}",
            "Importance of hyper-parameters by arm",
            140 + 26 * len(names),
        )
    ]


def _heat(arms: Sequence[ArmView], names: Sequence[str], most: float) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": [plain(arm.name) for arm in arms],
        "y": [plain(name) for name in reversed(names)],
        "z": [[arm.importances.get(name) for arm in arms] for name in reversed(names)],
        "zmin": 0,
        "zmax": most or 1.0,
        "colorscale": [[0, "rgba(0,114,178,0.08)"], [1, "rgba(0,114,178,1)"]],
        "xgap": 2,
        "ygap": 2,
        "colorbar": {
            "title": {"text": "share", "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
        },
        "hovertemplate": "%{x}, %{y}: %{z:.2f}<extra></extra>",
    }


def _bars(arm: ArmView, names: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [arm.importances[name] for name in reversed(names)],
        "y": [plain(name) for name in reversed(names)],
        "marker": {"color": HUES[0]},
        "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
    }


def _by_arm(count: int) -> dict[str, Any]:
    # a phone has room for a dozen names; of more, plotly leaves some out
    spaced = {"dtick": 1} if count <= 12 else {}
    return {"xaxis": {"type": "category", "tickangle": -90, "showgrid": False, **spaced}}
