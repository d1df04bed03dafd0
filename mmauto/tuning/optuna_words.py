"""An arm's space and stored trials in Optuna's words."""

from __future__ import annotations

import copy
import datetime
import functools
import heapq
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmauto.space import Choice, Dimension, Float, Int, Value, defaults
from mmauto.tuning.arms import Arm
from mmauto.views import TrialView

if TYPE_CHECKING:
    import optuna

STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
EPOCH = datetime.datetime(2000, 1, 1)
"""Stands where a sampler wants a date and does not read it."""


def rebuild(arm: Arm, maximise: bool, stored: Sequence[TrialView]) -> optuna.Study:
    """An in-memory Optuna study that holds the arm's finished trials."""
    study = new_study(maximise)
    spread = distributions(arm.space)
    study.add_trials([freeze(arm, trial, spread) for trial in stored if trial.state in STATES])
    return study


def new_study(maximise: bool, sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    """An empty in-memory study."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name="mmauto",  # Hyperband's brackets follow from it, and it would be random
        direction="maximize" if maximise else "minimize",
        sampler=sampler,
    )


def freeze(arm: Arm, trial: TrialView, spread: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    """A finished trial; ``spread`` is what `distributions` made of the arm's space."""
    import optuna

    params = told(arm, trial, spread)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState[STATES[trial.state]],
        value=trial.value if trial.state != "failed" else None,
        params=params,
        distributions={name: spread[name] for name in params},
        intermediate_values=dict(enumerate(trial.curve)),
        user_attrs={"mmauto_trial": trial.id},
    )


def lean(arm: Arm, trial: TrialView, spread: Mapping[str, Any]) -> Any:
    """A scored trial as far as a sampler looks at it: of the curve only its end, no checks."""
    import optuna

    params = told(arm, trial, spread)
    return _light()(
        number=0, trial_id=0, state=optuna.trial.TrialState[STATES[trial.state]],
        value=trial.value, params=params, distributions={name: spread[name] for name in params},
        intermediate_values={len(trial.curve): trial.value}, user_attrs={}, system_attrs={},
        datetime_start=EPOCH, datetime_complete=EPOCH,
    )  # fmt: skip


def told(arm: Arm, trial: TrialView, spread: Mapping[str, Any]) -> dict[str, Value]:
    """A trial's parameters, as far as today's space has and admits them."""
    known = {**defaults(arm.space), **trial.params}
    return {name: known[name] for name in spread if arm.space[name].admits(known[name])}


@functools.cache
def _light() -> Any:
    import optuna

    class Light(optuna.trial.FrozenTrial):
        """Shares its parameters with its copies.

        Optuna copies each trial that it is told deeply, distributions included, which takes longer
        than learning from it; nobody changes them.
        """

        def __deepcopy__(self, memo: object) -> Light:
            return copy.copy(self)

    return Light


def distributions(space: Mapping[str, Dimension], smooth: bool = False) -> dict[str, Any]:
    """A space in Optuna's words.

    Args:
        smooth: whole numbers as real ones, for a sampler whose answers are rounded with `whole`:
            TPE's mass of a discrete kernel takes most of the time of asking.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, Any] = {}
    for name, dimension in space.items():
        if isinstance(dimension, Choice):
            found[name] = CategoricalDistribution(dimension.options)
        elif isinstance(dimension, Float):
            found[name] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        elif smooth:
            half = dimension.step / 2
            found[name] = FloatDistribution(
                dimension.low - half, highest(dimension) + half, log=dimension.log
            )
        else:
            found[name] = IntDistribution(
                dimension.low, dimension.high, log=dimension.log, step=dimension.step
            )
    return found


def whole(dimension: Dimension, value: Value) -> Value:
    """A smooth value as the dimension has it: the nearest step of a whole number."""
    if isinstance(dimension, Choice | Float):
        return value
    steps = round((float(value) - dimension.low) / dimension.step)
    return min(max(dimension.low + steps * dimension.step, dimension.low), highest(dimension))


def highest(dimension: Int) -> int:
    """The last whole number that the steps reach."""
    return dimension.high - (dimension.high - dimension.low) % dimension.step


def make_sampler(name: str, seed: int) -> Any:
    """Optuna's sampler of that name, without random trials of its own at the start."""
    import optuna

    with warnings.catch_warnings():
        # multivariate TPE and QMC are marked experimental; the constraints file pins the version
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if name == "qmc":
            return optuna.samplers.QMCSampler(seed=seed, scramble=True)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=0
        )


def given_sampler(base: Any, given: Mapping[str, Value], common: Mapping[str, Any]) -> Any:
    """``base`` with some parameters given; ``common`` is the space that it searches as a whole."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _partly()(dict(given), base, common)


@functools.cache
def _partly() -> Any:
    import optuna

    class Partly(optuna.samplers.PartialFixedSampler):
        """Knows the space that its base would find again at each ask, a tenth of the time."""

        def __init__(self, given: dict[str, Value], base: Any, common: Mapping[str, Any]):
            super().__init__(given, base)
            self.left = {name: wanted for name, wanted in common.items() if name not in given}

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return dict(self.left)

    return Partly


def capped(
    stored: Sequence[TrialView], most: int, maximise: bool, seed: int
) -> Sequence[TrialView]:
    """At most so many scored trials: the best, the newest and a random rest, a third each.

    TPE's good side is the best tenth, so it stays as it is; its other side is thinned out.
    """
    scored = [t for t in stored if t.state in ("complete", "pruned") and t.value is not None]
    if len(scored) <= most:
        return scored
    sign = 1.0 if maximise else -1.0

    def rank(trial: TrialView) -> tuple[bool, float, int]:
        return trial.state != "complete", -sign * (trial.value or 0.0), trial.id

    kept = {t.id for t in (*heapq.nsmallest(most // 3, scored, rank), *scored[-(most // 3) :])}
    rest = [trial for trial in scored if trial.id not in kept]
    kept |= {trial.id for trial in random.Random(seed).sample(rest, most - len(kept))}
    return [trial for trial in scored if trial.id in kept]
