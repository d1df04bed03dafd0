"""What a study may name: components that exist and run here, parameters and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmauto.config import StudyConfig
from mmauto.config_space import dimension
from mmauto.engine.train_space import ADAPTER_LIMITS, TRAIN_LIMITS
from mmauto.errors import ConfigError, unknown
from mmauto.registry import Registry
from mmauto.space import Choice, Dimension, scoped
from mmauto.values import TaskView, single_arm

ALL = "all"
"""In place of names: every fusion that is installed."""


def check_names(registry: Registry, task: TaskView, config: StudyConfig) -> None:
    """Names of components and parameters that do not exist, or cannot run here.

    Raises:
        ConfigError: as said.
    """
    for name in config.encoders:
        modality = registry.encoder(name, "--encoders").modality
        if modality not in task.modalities.values():
            raise ConfigError(
                f"an encoder must read a modality of the task, {name!r} reads {modality}, the task "
                f"has {', '.join(task.modalities.values())}; drop it from --encoders"
            )
    for name in config.fusions if config.fusions != (ALL,) else ():
        reason = registry.fusion(name, "--fusions").missing()
        if reason is not None:
            raise ConfigError(f"fusion {name!r} was asked for but cannot run here: {reason}")
    for name in config.controls:
        registry.control(name, "--controls")
    for name in config.regularisers:
        if name != "none":
            registry.regulariser(name, "--regularisers")
    known = {n for kind in ("encoder", "fusion", "control") for n in registry.all(kind)}
    known |= {single_arm(key) for key in task.modalities}
    for name in config.exclude:
        if name not in known:
            raise ConfigError(unknown("component or arm", name, known, source="--exclude"))
    check_space(registry, task, config.space, "space")


def check_space(registry: Registry, task: TaskView, given: Mapping[str, Any], source: str) -> None:
    """A parameter that no arm has would be ignored in silence; an impossible value, fail later.

    Raises:
        ConfigError: as said; ``source`` is where the space stands in the study file.
    """
    known = _parameters(registry, task)
    for name, value in given.items():
        if name not in known:
            raise ConfigError(unknown("parameter", name, known, source=source))
        for end in dimension(f"{source}.{name}", value).ends():
            if not _fits(name, known[name], end):
                raise ConfigError(
                    f"{source}.{name} must be {_words(known[name])}, it was given {end!r}"
                )


def _parameters(registry: Registry, task: TaskView) -> dict[str, Dimension]:
    """Every parameter that a study file may name, with the widest that it may ask for."""
    found = scoped("train", TRAIN_LIMITS) | scoped("adapter", ADAPTER_LIMITS)
    for key, modality in task.modalities.items():
        encoders = registry.encoders_of(modality)
        found[f"{key}/encoder"] = Choice(tuple(encoders) or ("none",))
        for name, encoder in encoders.items():
            found |= scoped(f"{key}/{name}", encoder.space(task))
    for kind in ("fusion", "control"):
        for entry in registry.all(kind).values():
            # arms share these names: the union of what their components admit
            for name, wanted in scoped(kind, entry.component.space(task)).items():
                found[name] = _wider(found[name], wanted) if name in found else wanted
    for entry in registry.all("regulariser").values():
        found |= scoped(f"regulariser/{entry.name}", entry.component.space(task))
    return found


def _wider(one: Dimension, two: Dimension) -> Dimension:
    if isinstance(one, Choice) and isinstance(two, Choice):
        return Choice((*one.options, *(o for o in two.options if o not in one.options)))
    return one


def _fits(name: str, limit: Dimension, value: bool | int | float | str) -> bool:
    """Engine parameters and named choices keep to their limits; numbers of a plugin need not."""
    named = isinstance(limit, Choice) and not all(_number(option) for option in limit.options)
    if named or name.startswith(("train/", "adapter/")):
        return limit.admits(value)
    return _number(value)


def _number(value: bool | int | float | str) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(limit: Dimension) -> str:
    if isinstance(limit, Choice):
        return f"one of {', '.join(map(str, limit.options))}"
    return f"a number from {limit.low:g} to {limit.high:g}"
