"""Which classes the winner confuses; for a number, what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmauto.plugin import (
    Block,
    ConfirmationView,
    Figure,
    Section,
    StudyView,
    Table,
    TargetSpec,
    Text,
)
from mmauto_sections.colours import plain


class Confusion(Section):
    """The winner's predictions on the test rows, all seeds together."""

    name = "confusion"
    summary = "confusion matrix of the winner, or predicted against true numbers"
    reference = "mmauto"
    title = "Where the winner errs"
    order = 80

    def render(self, study: StudyView) -> Sequence[Block]:
        """One figure for the primary target."""
        spec = study.task.targets[study.task.primary]
        runs = [
            run for run in study.confirmations
            if run.arm == study.comparison.winner and run.failure is None
        ]  # fmt: skip
        if not runs:
            return []
        truth = study.truth["test"][spec.name]
        if spec.kind == "regression":
            return [_scatter(spec, truth, runs)]
        if spec.kind == "multilabel":
            return [
                Text("A confusion matrix needs one class a row; this target has several.", "note")
            ]
        return [_matrix(study, spec, truth, runs), _by_class(spec, truth, runs)]


def _by_class(spec: TargetSpec, truth: np.ndarray, runs: Sequence[ConfirmationView]) -> Table:
    """Precision, recall and F1 of each class, means over seeds."""
    known = truth >= 0  # False for NaN, too
    real = truth[known].astype(int)
    rows: list[list[str | int | float | None]] = []
    for place, name in enumerate(spec.classes):
        each = [_rates(real == place, _guessed(run, spec)[known] == place) for run in runs]
        precision, recall, f1 = np.mean(each, axis=0).tolist()
        rows.append([plain(name), precision, recall, f1, int((real == place).sum())])
    return Table(
        ("class", "precision", "recall", "F1", "rows"), rows,
        f"Each class on the test rows, means over {len(runs)} seeds: precision is the share right "
        "of what was taken for the class, recall the share found of what is of the class, F1 their "
        "harmonic mean; 0 where nothing was taken for it.",
    )  # fmt: skip


def _rates(real: np.ndarray, said: np.ndarray) -> tuple[float, float, float]:
    hits = float((real & said).sum())
    precision, recall = hits / max(1, int(said.sum())), hits / max(1, int(real.sum()))
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _guessed(run: ConfirmationView, spec: TargetSpec) -> np.ndarray:
    """``(N,)`` class places."""
    given = run.test[spec.name]
    return given.argmax(1) if spec.kind == "multiclass" else _over(run, spec)


def _matrix(
    study: StudyView, spec: TargetSpec, truth: np.ndarray, runs: Sequence[ConfirmationView]
) -> Figure:
    size = len(spec.classes)
    counts = np.zeros((size, size))
    known = truth >= 0  # False for NaN, too
    for run in runs:
        guess = _guessed(run, spec)
        np.add.at(counts, (truth[known].astype(int), guess[known]), 1)
    counts /= len(runs)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [plain(name) for name in spec.classes]
    return Figure(
        [
            {
                "type": "heatmap",
                "x": names,
                "y": names,
                "z": share.tolist(),
                "zmin": 0,
                "zmax": 1,
                "text": [
                    [f"{s:.0%}<br>{c:.1f}" for s, c in zip(*row, strict=True)]
                    for row in zip(share, counts, strict=True)
                ],
                "texttemplate": "%{text}",
                "textfont": {"color": "text"},
                "colorscale": [[0, "rgba(0,114,178,0.04)"], [1, "rgba(0,114,178,0.75)"]],
                "xgap": 2,
                "ygap": 2,
                "showscale": False,
                "hovertemplate": "true %{y}, predicted %{x}: %{text}<extra></extra>",
            }
        ],
        {
            "xaxis": {"type": "category", "title": {"text": "predicted"}, "showgrid": False},
            "yaxis": {
                "type": "category", "title": {"text": "true"}, "autorange": "reversed",
                "showgrid": False,
            },
        },
        f"{study.comparison.winner} on the test rows: share of each true class (a row sums to "
        f"100 %), below it the rows, mean over {len(runs)} seeds.",
        "; ".join(f"{n} right in {share[i, i]:.0%}" for i, n in enumerate(spec.classes)),
        160 + 60 * size,
    )  # fmt: skip


def _over(run: ConfirmationView, spec: TargetSpec) -> np.ndarray:
    """``(N,)`` the second class where its probability passes the threshold."""
    cut = run.thresholds.get(spec.name)
    limit = 0.5 if cut is None or not len(cut) else cut[0]
    return np.asarray(run.test[spec.name][:, 0] >= limit).astype(int)


def _scatter(spec: TargetSpec, truth: np.ndarray, runs: Sequence[ConfirmationView]) -> Figure:
    known = ~np.isnan(truth)
    mean = np.mean([run.test[spec.name][:, 0] for run in runs], axis=0)
    ends = [float(truth[known].min()), float(truth[known].max())]
    points: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "name": "a row",
        "x": truth[known].tolist(), "y": mean[known].tolist(),
        "marker": {"size": 6, "opacity": 0.6, "color": "#0072B2"},
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "name": "exact", "x": ends, "y": ends,
        "line": {"color": "text", "dash": "dot", "width": 1.5},
    }  # fmt: skip
    return Figure(
        [points, line],
        {"xaxis": {"title": {"text": "true"}}, "yaxis": {"title": {"text": "predicted"}}},
        f"{spec.name} on the test rows, predictions averaged over {len(runs)} seeds; on the dotted "
        "line they are exact.",
        f"Predicted against true {spec.name} for {int(known.sum())} test rows",
        460,
    )
