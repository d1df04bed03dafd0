"""Asking for candidates: Optuna behind a pure function of what is stored.

A fresh in-memory Optuna study is filled with the arm's stored trials for every generation. So a
resumed search asks exactly what an undisturbed one would, and a space that grew (a new encoder, a
new parameter) is simply the space of today, with stored trials at their defaults.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmauto.space import Choice, Dimension, Float, Value, defaults
from mmauto.tuning.arms import Arm
from mmauto.views import TrialView

if TYPE_CHECKING:
    import optuna

START_UP = 4
"""Random candidates after the default one; shared between arms, see `start_up`."""


def ask(
    arm: Arm, sampler: str, maximise: bool, seed: int, stored: Sequence[TrialView], count: int
) -> list[dict[str, Value]]:
    """The next ``count`` parameter sets of an arm whose stored trials are given.

    The default configuration comes first, then `START_UP` random ones, then the sampler's.
    """
    done = len(stored)
    found: list[dict[str, Value]] = []
    while len(found) < count and done + len(found) <= START_UP:
        place = done + len(found)
        found.append(defaults(arm.space) if place == 0 else start_up(arm, seed, place))
    if len(found) == count:
        return found
    study = rebuild(arm, sampler, maximise, stored, derived(seed, arm.name, str(done)))
    for params in found:  # asked in the same breath, result unknown
        study.enqueue_trial(params)
        study.ask(distributions(arm.space))
    while len(found) < count:
        found.append(dict(study.ask(distributions(arm.space)).params))
    return found


def start_up(arm: Arm, seed: int, place: int) -> dict[str, Value]:
    """A random candidate that agrees between arms wherever they share a parameter.

    Equal starting points take a source of luck out of the comparison.
    """
    return {
        name: _draw(random.Random(derived(seed, name, str(place))), dimension)
        for name, dimension in arm.space.items()
    }


def derived(seed: int, *words: str) -> int:
    """A seed that depends on the study's seed and some words, and on nothing else."""
    text = ":".join([str(seed), *words]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _draw(source: random.Random, dimension: Dimension) -> Value:
    if isinstance(dimension, Choice):
        return source.choice(dimension.options)
    low, high = float(dimension.low), float(dimension.high)
    share = source.random()
    value: float = low * (high / low) ** share if dimension.log else low + (high - low) * share
    if isinstance(dimension, Float):
        return min(max(value, low), high)
    steps = round((value - low) / dimension.step)
    most = (dimension.high - dimension.low) // dimension.step
    return dimension.low + min(steps, most) * dimension.step


def rebuild(
    arm: Arm, sampler: str, maximise: bool, stored: Sequence[TrialView], seed: int
) -> optuna.Study:
    """An in-memory Optuna study that holds the arm's finished trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if maximise else "minimize", sampler=_sampler(sampler, seed)
    )
    for trial in stored:
        frozen = freeze(arm, trial)
        if frozen is not None:
            study.add_trial(frozen)
    return study


def freeze(arm: Arm, trial: TrialView) -> optuna.trial.FrozenTrial | None:
    """A stored trial in Optuna's words; None while it is unfinished."""
    import optuna

    states = optuna.trial.TrialState
    state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}.get(
        trial.state
    )
    if state is None:
        return None
    known = {**defaults(arm.space), **trial.params}
    spread = distributions(arm.space)
    # a value that today's space does not admit (a choice that was taken out) cannot be told
    params = {n: known[n] for n, d in arm.space.items() if d.admits(known[n])}
    return optuna.trial.create_trial(
        state=state,
        value=trial.value if state != states.FAIL else None,
        params=params,
        distributions={name: spread[name] for name in params},
        intermediate_values=dict(enumerate(trial.curve)),
        user_attrs={"mmauto_trial": trial.id},
    )


def distributions(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """A space in Optuna's words."""
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
        else:
            found[name] = IntDistribution(
                dimension.low, dimension.high, log=dimension.log, step=dimension.step
            )
    return found


def _sampler(name: str, seed: int) -> Any:
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
