"""Precision and recall of each class or label, as decided at the thresholds that were chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmauto.answers.judged import Judged, bounded
from mmauto.answers.sums import contributions
from mmauto.answers.weighted import weighted_score
from mmauto.values import TargetSpec
from mmauto.views import Interval, StudyView

RANKED = 500
"""Resamples of AUROC: each sorts all rows, and there are many labels."""


@dataclass(frozen=True)
class Rates:
    """One class of the winner on the test rows, means over runs; NaN where it is not defined.

    Attributes:
        precision: share right of what was taken for the class; 0 where nothing was.
        recall: share found of what is of the class; as F1, NaN where no row is.
        auroc: of a label; None for a class of one target (see `mmauto.answers.rankings`).
        rows: that are of it.
    """

    name: str
    precision: Interval
    recall: Interval
    f1: Interval
    auroc: Interval | None
    rows: int


def class_rates(view: StudyView) -> list[Rates]:
    """Of each class, or each label; none for a number or without a confirmed winner."""
    judged = Judged(view)
    winner = view.comparison.winner
    if judged.spec.kind == "regression" or winner not in judged.arms:
        return []
    sums = [
        judged.weights @ contributions("f1", judged.spec, judged.truth, judged.decided(run))
        for run in judged.predicted(winner)
    ]
    ranks = judged.runs(winner)
    given = [judged.given(run) for run in ranks] if judged.spec.kind == "multilabel" else []
    found = []
    for place, name in enumerate(judged.spec.classes):
        each = zip(*(_rates(one, place) for one in sums), strict=True)
        precision, recall, f1 = (bounded(judged.mean(runs)) for runs in each)
        areas = [_auroc(judged, one[:, [place]], place) for one in given]
        rows = int(sums[0][0, len(judged.spec.classes) + place])
        area = bounded(judged.mean(areas)) if areas else None
        found.append(Rates(name, precision, recall, f1, area, rows))
    return found


def _rates(sums: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(1 + R,)`` precision, recall and F1 of ``(1 + R, 3 C)`` hits, rows and guesses."""
    hit, seen, said = (part[:, place] for part in np.split(sums, 3, axis=1))
    recall = np.where(seen > 0, hit / np.maximum(seen, 1), np.nan)
    f1 = np.where(seen > 0, 2 * hit / np.maximum(seen + said, 1), np.nan)
    return hit / np.maximum(said, 1), recall, f1


def _auroc(judged: Judged, given: np.ndarray, place: int) -> np.ndarray:
    one = TargetSpec("label", "binary", ("no", "yes"))
    real = (judged.truth[:, place] > 0.5).astype(int)
    found = np.full(len(judged.weights), np.nan)  # an interval leaves out what is not known
    found[:RANKED] = weighted_score("auroc", one, real, given, judged.weights[:RANKED])
    return found
