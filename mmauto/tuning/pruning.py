"""Ending hopeless trials early; every pruner here is fed with each epoch's validation metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmauto.tuning.arms import Arm
from mmauto.tuning.sampler import distributions, rebuild
from mmauto.views import TrialView

ETA = 3
FIRST_EPOCHS = 2
FIRST_STEPS = 100


class Pruner:
    """Decides for one generation; the base keeps everything (``--pruner none``)."""

    def keep(self, epoch: int, values: Mapping[int, float]) -> dict[int, bool]:
        """Which trials go on, after ``epoch`` (from 0), given their metric of that epoch."""
        return dict.fromkeys(values, True)


class Halving(Pruner):
    """Synchronous successive halving inside a generation (Jamieson & Talwalkar 2016).

    At each rung the best third goes on, at least one. The rungs compare best-so-far values, since
    a trial's result is its best epoch; a trial that stopped by itself still occupies its place. The
    decision is replayed from whole curves, so that an interrupted generation decides alike.

    Args:
        steps: training steps an epoch of the slowest trial; a rung stands after at least
            `FIRST_STEPS` of them.
        curves: validation curves of the generation's trials that ended before (after a kill).
        members: all trials of the generation.
    """

    def __init__(
        self,
        maximise: bool,
        steps: int,
        epochs: int,
        members: Sequence[int],
        curves: Mapping[int, Sequence[float]],
    ):
        self.sign = 1.0 if maximise else -1.0
        self.curves = {trial: list(curves.get(trial, ())) for trial in members}
        self.rungs = []
        rung = max(FIRST_EPOCHS, math.ceil(FIRST_STEPS / max(1, steps)))
        while rung < epochs:
            self.rungs.append(rung)
            rung *= ETA

    def keep(self, epoch: int, values: Mapping[int, float]) -> dict[int, bool]:
        """The best third at a rung, everything elsewhere."""
        for trial, value in values.items():
            self.curves[trial] = [*self.curves[trial][:epoch], value]
        if epoch + 1 not in self.rungs:
            return dict.fromkeys(values, True)
        chosen = set(self.curves)
        for rung in self.rungs[: self.rungs.index(epoch + 1) + 1]:
            ranked = sorted(chosen, key=lambda trial: (-self._best(trial, rung), trial))
            chosen = set(ranked[: max(1, math.ceil(len(ranked) / ETA))])
        return {trial: trial in chosen for trial in values}

    def _best(self, trial: int, rung: int) -> float:
        return max((self.sign * value for value in self.curves[trial][:rung]), default=-math.inf)


class OptunaPruner(Pruner):
    """Optuna's own pruners across the arm's generations: ``median``, ``hyperband``."""

    def __init__(
        self,
        name: str,
        arm: Arm,
        maximise: bool,
        stored: Sequence[TrialView],
        asked: Mapping[int, Mapping[str, Any]],
        epochs: int,
    ):
        import optuna

        study = rebuild(arm, "random", maximise, stored, seed=0)
        study.pruner = (
            optuna.pruners.HyperbandPruner(FIRST_EPOCHS, epochs, ETA)
            if name == "hyperband"
            else optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=FIRST_EPOCHS)
        )
        self.trials = {}
        for trial, params in asked.items():
            study.enqueue_trial(dict(params))
            self.trials[trial] = study.ask(distributions(arm.space))

    def keep(self, epoch: int, values: Mapping[int, float]) -> dict[int, bool]:
        """As Optuna says, but never ending the last trial."""
        keep = {}
        for trial, value in values.items():
            self.trials[trial].report(value, epoch)
        for trial in values:
            keep[trial] = not self.trials[trial].should_prune()
        if values and not any(keep.values()):
            keep[min(values)] = True
        return keep
