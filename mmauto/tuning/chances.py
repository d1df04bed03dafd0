"""Equal chances: an arm that had more trials than another would win more often by luck alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mmauto.engine.train_space import FINETUNE
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm
from mmauto.views import TrialView


def trials_each(store: StudyStore, arms: Sequence[Arm]) -> int:
    """So many trials every arm has had; fewer than some where time ended the search.

    An arm that was parked, or that needs a single trial, does not hold back the others.
    """
    parked = {view.name for view in store.arms() if view.parked}
    ended = Counter(
        trial.arm
        for trial in store.trials()
        if trial.state != "running" and FINETUNE not in trial.params
    )
    searched = [arm.name for arm in arms if not arm.once and ended[arm.name]]
    going_on = [name for name in searched if name not in parked]
    return min((ended[name] for name in going_on or searched), default=1)


def eligible(trials: Sequence[TrialView], most: int) -> list[TrialView]:
    """Those of the first ``most`` of each arm, and what was fine-tuned from them."""
    return [trial for trial in trials if trial.index < most or FINETUNE in trial.params]
