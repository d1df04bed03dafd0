"""How well probabilities rank rows: ROC and precision-recall curves, one class against the rest.

Curves of several runs are averaged vertically (Fawcett 2006). Between two points of a
precision-recall curve nothing lies on a straight line (Davis and Goadrich 2006, ICML): precision is
that of the highest threshold that reaches the recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmauto.answers.judged import Judged
from mmauto.views import StudyView

MOST_CLASSES = 8
"""Beyond so many, one curve shows their mean."""

GRID = np.linspace(0, 1, 101)
"""False positive rates of the ROC curves; recalls, without 0, of the others."""


@dataclass(frozen=True)
class Ranking:
    """One class of one arm, means over runs.

    Attributes:
        name: of the class; ``"mean of classes"`` where there are many.
        share: of the rows that are of it: what precision is by chance.
        hits: ``(101,)`` true positive rate at each rate of `GRID`.
        precisions: ``(100,)`` at each recall of `GRID` above 0.
        auroc, average_precision: as of scikit-learn.
    """

    arm: str
    name: str
    share: float
    hits: np.ndarray
    precisions: np.ndarray
    auroc: float
    average_precision: float


def rankings(view: StudyView) -> list[Ranking]:
    """Of the winner's classes that some test rows have and some lack, in their order.

    Where one curve shows them all, that of the best single modality follows.
    """
    judged = Judged(view)
    if judged.spec.kind == "regression":
        return []
    found = [each for each in (_by_class(judged, arm) for arm in judged.arms) if each]
    found = [[_mean(each)] if len(each) > MOST_CLASSES else each for each in found]
    if any(len(each) > 1 for each in found):
        return found[0]
    return [each[0] for each in found]


def _by_class(judged: Judged, arm: str) -> list[Ranking]:
    classes = judged.spec.classes
    first = 1 if judged.spec.kind == "binary" else 0
    given = [judged.given(run) for run in judged.runs(arm)]
    found = []
    for place in range(first, len(classes)):
        real = judged.truth[:, place] > 0.5 if judged.truth.ndim == 2 else judged.truth == place
        if real.any() and not real.all():
            each = [_curves(real, one[:, place]) for one in given]
            found.append(_ranking(arm, classes[place], float(real.mean()), each))
    return found


def _curves(real: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    from sklearn import metrics

    false, true, _ = metrics.roc_curve(real, scores)
    hits = np.interp(GRID, false, true)
    hits[0] = 0.0  # every curve starts where nothing is called positive
    precision, recall, _ = (line[::-1] for line in metrics.precision_recall_curve(real, scores))
    at = np.searchsorted(recall, GRID[1:] - 1e-9)
    return (
        hits,
        precision[at],
        float(metrics.roc_auc_score(real, scores)),
        float(metrics.average_precision_score(real, scores)),
    )


def _ranking(
    arm: str,
    name: str,
    share: float,
    each: Sequence[tuple[np.ndarray, np.ndarray, float, float]],
) -> Ranking:
    hits, precisions, auroc, average = (np.mean(part, axis=0) for part in zip(*each, strict=True))
    return Ranking(arm, name, share, hits, precisions, float(auroc), float(average))


def _mean(each: Sequence[Ranking]) -> Ranking:
    parts = [(one.hits, one.precisions, one.auroc, one.average_precision) for one in each]
    share = float(np.mean([one.share for one in each]))
    return _ranking(each[0].arm, "mean of classes", share, parts)
