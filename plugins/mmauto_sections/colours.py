"""One colour and one dash an arm, the same in every figure.

The hues follow Okabe and Ito (2008), which colour-blind readers tell apart; beyond eight arms the
dash changes too. Grey stands for black, which a dark page would swallow.
"""

from __future__ import annotations

from typing import Any

from mmauto.plugin import METRICS, StudyView

HUES = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#8C8C8C",
)  # fmt: skip
DASHES = ("solid", "dot", "dash")
SYMBOLS = {"fusion": "circle", "single": "square", "control": "diamond", "ensemble": "star"}
KINDS = {
    "fusion": "fusion", "single": "one modality", "control": "control",
    "ensemble": "several averaged",
}  # fmt: skip
KIND_HUES = {"fusion": HUES[0], "single": HUES[1], "control": HUES[7], "ensemble": HUES[2]}


def styles(study: StudyView) -> dict[str, dict[str, Any]]:
    """arm -> ``color``, ``dash`` and ``symbol``; of the ensemble, too, where there is one."""
    averaged = study.comparison.ensemble
    arms = [*study.arms, *([averaged.standing.arm] if averaged else [])]
    return {
        arm.name: {
            "color": HUES[place % len(HUES)],
            "dash": DASHES[place // len(HUES) % len(DASHES)],
            "symbol": SYMBOLS[arm.kind],
        }
        for place, arm in enumerate(arms)
    }


def plain(text: str) -> str:
    """A name for a figure: plotly takes ``<`` and ``&`` in texts for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def metric_label(study: StudyView) -> str:
    """The metric as people write it."""
    return METRICS[study.task.metric].label


def modality_hues(study: StudyView) -> dict[str, str]:
    """Modality -> its colour, the same in every figure."""
    return {key: HUES[place % len(HUES)] for place, key in enumerate(study.task.modalities)}
