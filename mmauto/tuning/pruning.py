"""Ending hopeless trials early; every pruner here is fed with each epoch's validation metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmauto.tuning.arms import Arm
from mmauto.tuning.optuna_words import distributions, rebuild
from mmauto.views import TrialView

ETA = 3
QUANTILE = 0.5
FIRST_EPOCHS = 2
FIRST_STEPS = 60
"""Chosen with `mmauto.tuning.replay` on unpruned curves (`mmauto bench pruning`, other seeds): with
100 steps before the first rung 3 times fewer epochs are trained on a table of a thousand rows,
whose epochs have some twenty; with 60 it is 4.6 times, and no more is lost on test rows (-0.03 +-
0.22 against -0.10 +- 0.08 points, of the seeds that it was chosen on). The lower quartile in place
of the median saves less (4.3) and loses as much."""


class Pruner:
    """Decides for one generation; the base keeps everything (``--pruner none``)."""

    def keep(
        self, epoch: int, values: Mapping[int, float], failed: Collection[int] = ()
    ) -> dict[int, bool]:
        """Which trials go on, after ``epoch`` (from 0).

        Args:
            values: of those that train, their metric of that epoch.
            failed: all trials of the generation that have failed.
        """
        return dict.fromkeys(values, True)


class Halving(Pruner):
    """Synchronous successive halving inside a generation (Jamieson & Talwalkar 2016).

    At each rung the best third goes on, at least one; of those, only the ones that are no worse
    than the median of what passed the same rung in earlier generations, once one of these was
    trained to its end. The rungs compare best-so-far values, since a trial's result is its best
    epoch; a trial that stopped by itself still occupies its place, one that failed does not. The
    decision is replayed from whole curves, so that an interrupted generation decides alike.

    Args:
        steps: training steps an epoch of the slowest trial; a rung stands after at least
            `FIRST_STEPS` of them.
        curves: validation curves of the generation's trials that ended before (after a kill).
        members: all trials of the generation.
        earlier: of every trial of earlier generations that did not fail, whether it was trained to
            its end, and its curve.
    """

    def __init__(
        self,
        maximise: bool,
        steps: int,
        epochs: int,
        members: Sequence[int],
        curves: Mapping[int, Sequence[float]],
        earlier: Sequence[tuple[bool, Sequence[float]]] = (),
        eta: int = ETA,
        quantile: float = QUANTILE,
    ):
        self.sign = 1.0 if maximise else -1.0
        self.curves = {trial: list(curves.get(trial, ())) for trial in members}
        self.earlier = earlier if any(complete for complete, _ in earlier) else ()
        self.eta, self.quantile = eta, quantile
        self.rungs = []
        rung = max(FIRST_EPOCHS, math.ceil(FIRST_STEPS / max(1, steps)))
        while rung < epochs:
            self.rungs.append(rung)
            rung *= eta

    def keep(
        self, epoch: int, values: Mapping[int, float], failed: Collection[int] = ()
    ) -> dict[int, bool]:
        """Those that pass at a rung, everything elsewhere."""
        for trial, value in values.items():
            self.curves[trial] = [*self.curves[trial][:epoch], value]
        if epoch + 1 not in self.rungs:
            return dict.fromkeys(values, True)
        chosen = set(self.curves) - set(failed)
        for rung in self.rungs[: self.rungs.index(epoch + 1) + 1]:
            best = {trial: self._best(self.curves[trial], rung) for trial in chosen}
            ranked = sorted(chosen, key=lambda trial: (-best[trial], trial))
            bar = self._bar(rung)
            passed = ranked[: max(1, math.ceil(len(ranked) / self.eta))]
            chosen = {trial for trial in passed if best[trial] >= bar}
        return {trial: trial in chosen for trial in values}

    def _bar(self, rung: int) -> float:
        """What earlier generations' survivors of the rung had there, at the quantile."""
        passed = sorted(
            self._best(curve, rung)
            for complete, curve in self.earlier
            if complete or len(curve) > rung
        )
        return passed[int(self.quantile * (len(passed) - 1))] if passed else -math.inf

    def _best(self, curve: Sequence[float], rung: int) -> float:
        return max((self.sign * value for value in curve[:rung]), default=-math.inf)


class OptunaPruner(Pruner):
    """Optuna's own pruners across the arm's generations: ``median``, ``hyperband``.

    As `Halving`, it hears of whole curves again, so that an interrupted generation decides alike.

    Args:
        earlier: trials of earlier generations.
        members: parameters of all trials of the generation.
        curves: validation curves of those of them that ended before (after a kill).
    """

    def __init__(
        self,
        name: str,
        arm: Arm,
        maximise: bool,
        epochs: int,
        earlier: Sequence[TrialView],
        members: Mapping[int, Mapping[str, Any]],
        curves: Mapping[int, Sequence[float]],
    ):
        import optuna

        self.curves = curves
        study = rebuild(arm, maximise, earlier)
        study.pruner = (
            optuna.pruners.HyperbandPruner(FIRST_EPOCHS, epochs, ETA)
            if name == "hyperband"
            else optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=FIRST_EPOCHS)
        )
        self.trials = {}
        for trial, params in members.items():
            study.enqueue_trial(dict(params))
            self.trials[trial] = study.ask(distributions(arm.space))

    def keep(
        self, epoch: int, values: Mapping[int, float], failed: Collection[int] = ()
    ) -> dict[int, bool]:
        """As Optuna says, but never ending the last trial."""
        before = {t: curve[epoch] for t, curve in self.curves.items() if epoch < len(curve)}
        told = dict(sorted({**values, **before}.items()))
        for trial, value in told.items():
            self.trials[trial].report(value, epoch)
        keep = {trial: not self.trials[trial].should_prune() for trial in told}
        if told and not any(keep.values()):
            keep[min(told)] = True
        return {trial: keep[trial] for trial in values}
