"""Asking for candidates: Optuna behind a pure function of what is stored.

A fresh in-memory Optuna study is filled with the arm's stored trials for every generation. So a
resumed search asks exactly what an undisturbed one would, and a space that grew (a new encoder, a
new parameter) is simply the space of today, with stored trials at their defaults.

Candidates come in packs: a leader is asked as a whole, its followers take over whatever decides on
shapes and differ in the numbers that pack. So they can train as one stacked model.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from mmauto.config import StudyConfig
from mmauto.space import Choice, Dimension, Float, Params, Value, defaults
from mmauto.tuning.arms import Arm
from mmauto.tuning.optuna_words import (
    capped,
    distributions,
    given_sampler,
    lean,
    make_sampler,
    new_study,
    whole,
)
from mmauto.views import TrialView

START_UP = 4
"""Random trials after the default one, at least; the rest of the first generation joins them, since
no result is known to it either. They are shared between arms, see `start_up`."""

AGAIN = 1_000_000
"""Added to the place of a start-up candidate that is there already."""

MOST_TOLD = 64
"""Trials that the sampler learns from; see `mmauto.tuning.optuna_words.capped`."""


def ask(
    arm: Arm,
    config: StudyConfig,
    maximise: bool,
    stored: Sequence[TrialView],
    numbers: Sequence[int],
    offered: Sequence[Params] = (),
) -> list[dict[str, Value]]:
    """The arm's candidates of these numbers, whose stored trials are given.

    The default configuration comes first, then what an earlier study offers, then random ones
    (`START_UP`), then the sampler's.
    """
    first = numbers[0] - numbers[0] % config.generation
    known: dict[int, dict[str, Value]] = {
        trial.index: {**defaults(arm.space), **trial.params}
        for trial in stored
        if trial.index >= first  # the generation's own, where it is half stored
    }
    plan = placed(arm, config, offered)
    told: _Told | None = None
    for number in numbers:
        lead = leader(arm, config, number)
        fixed = {} if lead == number else _shape(arm, known[lead])
        if number in plan:
            known[number] = {**plan[number], **fixed}
        elif _random(arm, config, number):
            taken = [*known.values(), *plan.values()]
            known[number] = _fresh(arm, config.seed, number, fixed, taken)
        else:
            told = told or _Told(arm, config, maximise, stored, known)
            known[number] = told.ask(fixed)
    return [known[number] for number in numbers]


def leader(arm: Arm, config: StudyConfig, number: int) -> int:
    """The candidate whose shapes a candidate shares; packs begin anew with every generation."""
    first = number - number % config.generation
    return number - (number - first) % arm.pack_size(config.pack)


def _random(arm: Arm, config: StudyConfig, number: int) -> bool:
    """Whether a candidate is drawn at random: at the start, and leading every second pack.

    A pack spends several trials on one set of shapes. A sampler that has seen so few of them
    settles on the first good ones, and searches worse than chance.
    """
    size, place = arm.pack_size(config.pack), number % config.generation
    return (
        number <= START_UP
        or number < config.generation
        or (size > 1 and place % size == 0 and place // size % 2 == 0)
    )


def placed(arm: Arm, config: StudyConfig, offered: Sequence[Params]) -> dict[int, dict[str, Value]]:
    """Number -> the default configuration, or what is offered, restricted to today's space.

    An offered candidate joins a pack whose shapes it has; otherwise it leads one.
    """
    found = {0: defaults(arm.space)}
    left = [
        {n: params[n] if n in params and d.admits(params[n]) else d.default
         for n, d in arm.space.items()}
        for params in offered
    ]  # fmt: skip
    number = 0
    while left := [params for params in left if params not in found.values()]:
        number += 1
        lead = leader(arm, config, number)
        fits = (p for p in left if lead == number or arm.pack(p) == arm.pack(found[lead]))
        chosen = next(fits, None)
        if chosen is not None:
            found[number] = chosen
    return found


def start_up(arm: Arm, seed: int, place: int) -> dict[str, Value]:
    """A random candidate that agrees between arms wherever they share a parameter.

    Equal starting points take a source of luck out of the comparison.
    """
    return {
        name: _draw(random.Random(derived(seed, name, str(place))), dimension)
        for name, dimension in arm.space.items()
    }


def _fresh(
    arm: Arm, seed: int, place: int, fixed: Params, taken: Sequence[Params]
) -> dict[str, Value]:
    """A start-up candidate that is not there yet: one may have been offered, found by this seed."""
    drawn = {**start_up(arm, seed, place), **fixed}
    return drawn if drawn not in taken else {**start_up(arm, seed, place + AGAIN), **fixed}


def derived(seed: int, *words: str) -> int:
    """A seed that depends on the study's seed and some words, and on nothing else."""
    text = ":".join([str(seed), *words]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _shape(arm: Arm, params: Params) -> dict[str, Value]:
    return {name: params[name] for name in arm.space if name not in arm.packing}


def _draw(source: random.Random, dimension: Dimension) -> Value:
    if isinstance(dimension, Choice):
        return source.choice(dimension.options)
    low, high = float(dimension.low), float(dimension.high)
    share = source.random()
    value: float = low * (high / low) ** share if dimension.log else low + (high - low) * share
    if isinstance(dimension, Float):
        return min(max(value, low), high)
    return whole(dimension, value)


class _Told:
    """A sampler that has been told the stored trials, and hears of each that it is asked for.

    Parameters of one value only are kept from it: they cost time and say nothing.
    """

    def __init__(
        self,
        arm: Arm,
        config: StudyConfig,
        maximise: bool,
        stored: Sequence[TrialView],
        known: Mapping[int, Params],
    ):
        seed = derived(config.seed, arm.name, str(len(stored)))
        self.space = arm.space
        free = {name: wanted for name, wanted in arm.space.items() if len(set(wanted.ends())) > 1}
        self.spread: dict[str, Any] = distributions(free, smooth=True)
        self.base = make_sampler(config.sampler, seed)
        self.study = new_study(maximise, self.base)
        self.study.add_trials(
            [lean(arm, trial, self.spread) for trial in capped(stored, MOST_TOLD, maximise, seed)]
        )
        ended = {trial.index for trial in stored if trial.state != "running"}
        for number in sorted(set(known) - ended):  # the result is not known yet
            self.study.enqueue_trial({name: known[number][name] for name in self.spread})
            self.study.ask(self.spread)
        self.common = self.base.infer_relative_search_space(self.study, None)

    def ask(self, fixed: Params) -> dict[str, Value]:
        """The next candidate, with some of its parameters given."""
        given = {name: value for name, value in fixed.items() if name in self.spread}
        self.study.sampler = given_sampler(self.base, given, self.common)
        found = {**defaults(self.space), **self.study.ask(self.spread).params}
        return {name: whole(wanted, found[name]) for name, wanted in self.space.items()}
