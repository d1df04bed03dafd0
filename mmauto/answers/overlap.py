"""How far chance goes where the models of several folds trained on each other's rows.

Two rows that are alike by accident count once where the one teaches the model that predicts the
other, and once the other way round. Resampled or swapped rows take that for two events. Where
labels mean nothing, the sum of all such pairs is a degenerate U-statistic (Hoeffding 1948; Fuchs,
Hornung, De Bin and Boulesteix 2013, Statistica Neerlandica 67), and its variance is ``1 + r`` times
that of independent pairs, if a share ``r`` of them counts both ways: of five folds, one of which
validates, two thirds. This is the covariance between folds that the predictions alone cannot show
(Bengio and Grandvalet 2004, JMLR 5). The ratio of test to training rows, by which Nadeau and Bengio
(2003, Machine Learning 52) correct, widens more and would hide more gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmauto.views import StudyView


def stretch(views: Sequence[StudyView]) -> float:
    """By how much deviations of pooled folds exceed those of as many independent rows.

    Fold ``k`` is tested by models that trained on all but itself and the next one.
    """
    folds = int(views[0].config.get("folds", 0)) or len(views)
    tested = [view.config.get("fold") or place for place, view in enumerate(views, 1)]
    return _stretch(folds, tested)


def _stretch(folds: int, tested: Sequence[int]) -> float:
    pairs = {(own, other) for own in tested for other in tested if (other - own) % folds > 1}
    taught = len(tested) * max(1, folds - 2)  # by rows of folds that are not tested yet, too
    return math.sqrt(1 + sum((other, own) in pairs for own, other in pairs) / taught)


def stretch_of(study: StudyView) -> float:
    """The same for a study that may pool folds, all of them taken as tested; else 1."""
    folds = int(study.config.get("folds", 0))
    if folds < 2 or study.config.get("fold"):
        return 1.0
    return _stretch(folds, range(1, folds + 1))
