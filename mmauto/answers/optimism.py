"""How much of a best validation score is luck: choosing from many trials finds the luckiest, too.

The bias-corrected bootstrap (BBC-CV: Tsamardinos et al. 2018, Machine Learning 107) draws the
validation rows with replacement, chooses the best trial on those drawn, and scores it on those left
out. The mean over many draws is what a trial so chosen is worth on new rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mmauto.answers.statistics import Resampled
from mmauto.answers.weighted import weighted_score
from mmauto.engine.metrics import METRICS, score
from mmauto.values import TargetSpec
from mmauto.views import Optimism

DRAWS = 500


class Chosen:
    """Collects trials, one at a time, so that not all predictions are in memory.

    Args:
        truth: labels of the validation rows; unobserved ones are left out.
        groups: ``(N,)`` labels whose rows are drawn together, or None.
    """

    def __init__(self, metric: str, spec: TargetSpec, truth: np.ndarray, groups: np.ndarray | None):
        self.shared = Resampled(metric, spec, truth, groups, resamples=DRAWS)
        self.left_out = (self.shared.rows == 0).astype(np.float32)
        self.sign = 1.0 if METRICS[metric].maximise else -1.0
        self.arms: dict[str, list[tuple[float, np.ndarray, np.ndarray]]] = {}

    def add(self, arm: str, given: np.ndarray) -> None:
        """A trial's ``(N, width)`` validation predictions."""
        shared = self.shared
        known = given[shared.known]
        drawn, rest = (
            self.sign * weighted_score(shared.metric, shared.spec, shared.truth, known, weights)
            for weights in (shared.rows, self.left_out)
        )
        value = self.sign * score(shared.metric, shared.spec, shared.truth, known)
        self.arms.setdefault(arm, []).append((value, drawn, rest))

    def of(self, arms: Iterable[str]) -> Optimism | None:
        """For a choice among all trials of some arms; None where there is none with a score."""
        trials = [trial for arm in arms for trial in self.arms.get(arm, ())]
        trials = [trial for trial in trials if np.isfinite(trial[0])]
        if not trials or not len(self.left_out):
            return None
        drawn = np.stack([trial[1] for trial in trials])  # (trials, R)
        rest = np.stack([trial[2] for trial in trials])
        best = np.where(np.isfinite(drawn), drawn, -np.inf).argmax(axis=0)
        found = rest[best, np.arange(rest.shape[1])]
        found = found[np.isfinite(found)]
        if not len(found):
            return None
        values = max(trial[0] for trial in trials)
        return Optimism(len(trials), self.sign * values, self.sign * float(found.mean()))


def optimism_of(
    metric: str,
    spec: TargetSpec,
    truth: np.ndarray,
    groups: np.ndarray | None,
    trials: Iterable[tuple[str, np.ndarray]],
) -> Mapping[str, Optimism]:
    """By arm, and under the empty name for a choice among all trials.

    Args:
        trials: (arm, ``(N, width)`` validation predictions).
    """
    chosen = Chosen(metric, spec, truth, groups)
    for arm, given in trials:
        chosen.add(arm, given)
    found = {arm: chosen.of([arm]) for arm in chosen.arms} | {"": chosen.of(chosen.arms)}
    return {arm: one for arm, one in found.items() if one is not None}
