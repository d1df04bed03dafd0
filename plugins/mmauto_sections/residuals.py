"""How far a predicted number is off, and whether that depends on what is predicted."""

from __future__ import annotations

import numpy as np

from mmauto.plugin import Block, Figure, StudyView
from mmauto_sections.colours import HUES, plain

MOST_POINTS = 2000
MOST_BARS = 50


def residuals(study: StudyView) -> list[Block]:
    """Residuals against predictions, and how they are spread; nothing without confirmed runs."""
    spec = study.task.targets[study.task.primary]
    runs = [
        run.test[spec.name][:, 0]
        for run in study.confirmations
        if run.arm == study.comparison.winner and run.failure is None
    ]
    truth = study.truth["test"][spec.name]
    known = ~np.isnan(truth)
    if not runs or not known.any():
        return []
    guess = np.mean(runs, axis=0)[known]
    return [
        _against(spec.name, guess, guess - truth[known], len(runs)),
        _spread(spec.name, guess - truth[known]),
    ]


def _against(name: str, guess: np.ndarray, off: np.ndarray, seeds: int) -> Figure:
    step = every(len(guess))
    order = np.argsort(guess, kind="stable")[::step]
    ends = [float(guess.min()), float(guess.max())]
    dots = {
        "type": "scatter", "mode": "markers", "name": "a row",
        "x": guess[order].tolist(), "y": off[order].tolist(),
        "marker": {"size": 6, "opacity": 0.6, "color": HUES[0]},
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "name": "exact", "x": ends, "y": [0, 0],
        "line": {"color": "text", "dash": "dot", "width": 1.5},
    }  # fmt: skip
    return Figure(
        [dots, line],
        {
            "xaxis": {"title": {"text": f"predicted {plain(name)}"}},
            "yaxis": {"title": {"text": "predicted less true"}},
        },
        f"How far each test row is off, by what is predicted, predictions averaged over {seeds} "
        "seeds. Dots evenly about the dotted line are as it should be; a bend is something that "
        f"the model has missed, a funnel means that its errors grow with {name}.{said(step)}",
        f"Residuals of {len(guess)} test rows, from {off.min():.3g} to {off.max():.3g}",
    )


def _spread(name: str, off: np.ndarray) -> Figure:
    counts, edges = np.histogram(off, bins=int(np.clip(2 * np.sqrt(len(off)), 5, MOST_BARS)))
    return Figure(
        [
            {
                "type": "bar", "name": "rows", "x": ((edges[1:] + edges[:-1]) / 2).tolist(),
                "y": counts.tolist(), "width": (0.94 * np.diff(edges)).tolist(),
                "marker": {"color": HUES[0], "opacity": 0.75},
            }
        ],
        {
            "xaxis": {"title": {"text": f"predicted less true {plain(name)}"}},
            "yaxis": {"title": {"text": "test rows"}},
            "shapes": [
                {
                    "type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
                    "line": {"color": "text", "dash": "dot", "width": 1.5},
                }
            ],
        },
        f"How the same residuals are spread: half of them lie between {np.quantile(off, 0.25):.3g} "
        f"and {np.quantile(off, 0.75):.3g}, and their mean is {off.mean():.3g}. A hill beside the "
        "dotted line is a bias, a long tail are a few rows that are far off.",
        f"Histogram of {len(off)} residuals with mean {off.mean():.3g}",
        300,
    )  # fmt: skip


def every(rows: int) -> int:
    """1, or 2 to draw each second row, and so on: a page of many thousand dots is slow."""
    return max(1, -(-rows // MOST_POINTS))


def said(step: int) -> str:
    """The end of a caption: nothing where everything is drawn."""
    return f" One row in {step} is drawn." if step > 1 else ""
