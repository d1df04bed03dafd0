"""Which hyper-parameters mattered, arm by arm."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Block, Figure, Section, StudyView, Text
from mmauto_sections.colours import plain

MOST = 14


class Importance(Section):
    """A heat map of parameters and arms."""

    name = "importance"
    summary = "share of each hyper-parameter in what made trials good"
    reference = "Watanabe, Bansal & Hutter 2023, PED-ANOVA, IJCAI"
    title = "What mattered in the search"
    order = 70

    def render(self, study: StudyView) -> Sequence[Block]:
        """The figure, or a sentence where there were too few trials."""
        arms = [arm for arm in study.arms if arm.importances]
        if not arms:
            return [
                Text("Too few finished trials an arm to say which parameters mattered.", "note")
            ]
        total: dict[str, float] = {}
        for arm in arms:
            for name, share in arm.importances.items():
                total[name] = max(total.get(name, 0.0), share)
        names = sorted(total, key=lambda name: (-total[name], name))[:MOST]
        cells = [[arm.importances.get(name) for arm in arms] for name in reversed(names)]
        left = f" The {MOST} largest of {len(total)} are shown." if len(total) > MOST else ""
        return [
            Figure(
                [
                    {
                        "type": "heatmap",
                        "x": [plain(arm.name) for arm in arms],
                        "y": [plain(name) for name in reversed(names)],
                        "z": cells,
                        "zmin": 0,
                        "zmax": max(total.values()) or 1.0,
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
                ],
                {
                    "xaxis": {
                        "type": "category",
                        "tickangle": -90,
                        "showgrid": False,
                        # a phone has room for a dozen names; of more, plotly leaves some out
                        **({"dtick": 1} if len(arms) <= 12 else {}),
                    },
                    "yaxis": {"type": "category", "showgrid": False},
                },
                "The share of each parameter in telling an arm's good trials from the rest. With "
                "few trials this is a hint, not a measurement. An empty cell was not searched."
                f"{left}",
                "Importance of hyper-parameters by arm",
                140 + 26 * len(names),
            )
        ]
