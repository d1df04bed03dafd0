"""Which classes the winner confuses; for a number, what it predicts."""

from __future__ import annotations

import math
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
    class_rates,
)
from mmauto_sections.brackets import bracketed, ends, percent
from mmauto_sections.colours import plain
from mmauto_sections.folding import short
from mmauto_sections.residuals import every, said


class Confusion(Section):
    """The winner's predictions on the test rows, all seeds together."""

    name = "confusion"
    summary = "confusion matrix of the winner, or predicted against true numbers"
    reference = "mmauto"
    title = "Where the winner errs"
    order = 80

    def render(self, study: StudyView) -> Sequence[Block]:
        """One figure for the primary target, and the rates of its classes or labels."""
        spec = study.task.targets[study.task.primary]
        runs = [
            run for run in study.decisions
            if run.arm == study.comparison.winner and run.failure is None
        ]  # fmt: skip
        truth = study.truth["test"][spec.name]
        known = truth >= 0 if spec.kind == "multiclass" else ~np.isnan(truth)
        if not runs or not known.any():
            return []
        if spec.kind == "regression":
            return [_scatter(spec, truth, runs)]
        if spec.kind == "multilabel":
            note = "A confusion matrix needs one class a row; this target has several."
            return [Text(note, "note"), _rates(study, len(runs))]
        return [_matrix(study, spec, truth, runs), _rates(study, len(runs))]


def _rates(study: StudyView, seeds: int) -> Block:
    """Precision, recall and F1 of each class or label, AUROC of labels."""
    found = class_rates(study)
    several = any(one.auroc is not None for one in found)
    rows: list[list[str | int | float | None]] = [
        [
            one.name, *(_defined(part.value) for part in (one.precision, one.recall, one.f1)),
            one.rows, *(ends(part) for part in (one.precision, one.recall, one.f1)),
            *([bracketed(one.auroc)] if one.auroc is not None else []),
        ]
        for one in found
    ]  # fmt: skip
    what = "label" if several else "class"
    table = Table(
        (
            what, "precision", "recall", "F1", "rows",
            "precision, 95 %", "recall, 95 %", "F1, 95 %", *(["AUROC, 95 %"] if several else []),
        ),
        rows,
        f"Each {what} on the test rows, means over {seeds} seeds with 95 % intervals over rows and "
        f"seeds: precision is the share right of what was taken for the {what} (0 where nothing "
        f"was), recall the share found of what is of the {what}, F1 their harmonic mean; a dash "
        f"where no test row is of it.",
        sortable=True,
    )  # fmt: skip
    return short(table, f"Precision and recall of each {what}")


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


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
                    [f"{percent(s)}<br>{c:.1f}" for s, c in zip(*row, strict=True)]
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
        "; ".join(f"{n} right in {percent(share[i, i])}" for i, n in enumerate(spec.classes)),
        160 + 60 * size,
    )  # fmt: skip


def _over(run: ConfirmationView, spec: TargetSpec) -> np.ndarray:
    """``(N,)`` the second class where its probability passes the threshold."""
    cut = run.thresholds.get(spec.name)
    limit = 0.5 if cut is None or not len(cut) else cut[0]
    return np.asarray(run.test[spec.name][:, 0] > limit).astype(int)


def _scatter(spec: TargetSpec, truth: np.ndarray, runs: Sequence[ConfirmationView]) -> Figure:
    known = ~np.isnan(truth)
    mean = np.mean([run.test[spec.name][:, 0] for run in runs], axis=0)
    step = every(int(known.sum()))
    ends = [float(truth[known].min()), float(truth[known].max())]
    points: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "name": "a row",
        "x": truth[known][::step].tolist(), "y": mean[known][::step].tolist(),
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
        f"line they are exact.{said(step)}",
        f"Predicted against true {spec.name} for {int(known.sum())} test rows",
        460,
    )
