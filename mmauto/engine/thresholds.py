"""Where a probability becomes a decision: chosen on validation, for binary and multilabel targets.

With classes of unequal size, 0.5 is rarely the best cut. The metric of the target decides where it
is about decisions; where it is about ranking, balanced accuracy (binary) or F1 (each label) does.
On few rows the best cut is mostly luck, so the one nearest to 0.5 is taken whose score is within a
standard error of the best (the rule of Breiman et al. 1984).
"""

from __future__ import annotations

import numpy as np

from mmauto.engine.metrics import observed, score
from mmauto.values import TargetSpec
from mmauto.views import ConfirmationView

DECIDING = ("accuracy", "balanced_accuracy", "f1")
MOST_CUTS = 200
HALF = 0.5


def choose_thresholds(
    metric: str, spec: TargetSpec, truth: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """The cut of each output, chosen on the validation rows.

    Args:
        truth: as in `mmauto.engine.metrics.score`.
        predicted: ``(N, width)`` probabilities.

    Returns:
        ``(width,)``; empty for multiclass and regression, which decide otherwise.
    """
    if spec.kind not in ("binary", "multilabel"):
        return np.array([])
    usual = "balanced_accuracy" if spec.kind == "binary" else "f1"
    wanted = metric if metric in DECIDING else usual
    known = observed(spec, truth)
    right = truth[known].reshape(known.sum(), -1)
    one = TargetSpec(spec.name, "binary", ("no", "yes"))
    outputs = enumerate(predicted[known].T)
    return np.array([_best(wanted, one, right[:, place], given) for place, given in outputs])


def _best(metric: str, spec: TargetSpec, truth: np.ndarray, given: np.ndarray) -> float:
    values = np.unique(given)
    cuts = np.r_[HALF, (values[1:] + values[:-1]) / 2] if len(values) > 1 else np.array([HALF])
    if len(cuts) > MOST_CUTS:
        cuts = np.r_[HALF, np.quantile(cuts, np.linspace(0, 1, MOST_CUTS))]
    cuts = cuts[np.argsort(np.abs(cuts - HALF), kind="stable")]
    scores = [
        score(metric, spec, truth, centred(given[:, None], np.array([cut]))) for cut in cuts
    ]  # fmt: skip
    found = np.nan_to_num(scores, nan=-1.0)
    best = max(0.0, float(found.max()))
    error = np.sqrt(best * (1 - best) / len(truth))
    return float(cuts[int(np.argmax(found >= best - error))])


def centred(predicted: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
    """Probabilities bent so that each threshold falls on 0.5; their order stays.

    Args:
        predicted: ``(N, width)``.
        thresholds: ``(width,)``; empty or None: nothing to bend.
    """
    if thresholds is None or not len(thresholds):
        return predicted
    cut = np.clip(thresholds, 1e-6, 1 - 1e-6)
    below = HALF * predicted / cut
    above = HALF + HALF * (predicted - cut) / (1 - cut)
    return np.asarray(np.where(predicted < cut, below, above))


def at_half(run: ConfirmationView, target: str) -> np.ndarray:
    """``(N, width)`` a run's test predictions, so that what validation chose as the cut is 0.5."""
    return centred(run.test[target], run.thresholds.get(target))
