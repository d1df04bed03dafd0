"""The contenders of a study: each with its own flat search space and the same number of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmauto.config import StudyConfig, dimension
from mmauto.contracts import Encoder, Fusion, Regulariser
from mmauto.engine.jobs import Candidate
from mmauto.engine.train_space import ADAPTER_LIMITS, ADAPTER_SPACE, TRAIN_LIMITS, TRAIN_SPACE
from mmauto.errors import ConfigError, unknown
from mmauto.registry import Registry
from mmauto.space import Choice, Dimension, Space, defaults, scoped
from mmauto.values import TaskView
from mmauto.views import ArmView, Finding

SINGLE = "concat_mlp"
"""The fusion that stands for "one modality alone": the same head, one modality."""

ONLY = "_only"

ALL = "all"
"""In place of names: every fusion that is installed."""


@dataclass(frozen=True)
class Arm:
    """One contender.

    Attributes:
        once: one trial is all it gets (the majority class).
    """

    view: ArmView
    modalities: tuple[str, ...]
    space: Mapping[str, Dimension]
    once: bool = False

    @property
    def name(self) -> str:
        """Unique in the study; also the name of its folder under ``models/``."""
        return self.view.name

    def candidate(self, params: Mapping[str, bool | int | float | str]) -> Candidate:
        """The candidate of some parameters; those added to the space since take their defaults."""
        kind: Literal["fusion", "control"] = "control" if self.view.kind == "control" else "fusion"
        return Candidate(
            kind, self.view.component, self.modalities, {**defaults(self.space), **params}
        )


def make_arms(registry: Registry, task: TaskView, config: StudyConfig) -> list[Arm]:
    """Every fusion, each modality alone, and the controls.

    Raises:
        ConfigError: a name does not exist, or nothing is left to compare.
    """
    _check_names(registry, task, config)
    encoders = {key: choose_encoders(registry, key, task, config) for key in task.modalities}
    arms = []
    for name in _fusions(registry, config):
        fusion = registry.fusion(name)
        if fusion.missing() is None and len(task.modalities) > 1:
            view = ArmView(name, "fusion", name, fusion.stage, fusion.summary)
            own = scoped("fusion", fusion.space(task))
            arms.append(_arm(view, tuple(task.modalities), encoders, own, registry, task, config))
    for key in task.modalities:
        head = registry.fusion(SINGLE)
        view = ArmView(
            key.replace(":", "_") + ONLY, "single", SINGLE, "single modality", f"{key} alone"
        )
        own = scoped("fusion", head.space(task))
        arms.append(_arm(view, (key,), encoders, own, registry, task, config))
    for name in config.controls or tuple(registry.all("control")):
        control = registry.control(name)
        view = ArmView(name, "control", name, "control", control.summary)
        own = scoped("control", control.space(task))
        frozen = {
            key: {n: e for n, e in found.items() if is_frozen(e, task)} or found
            for key, found in encoders.items()
        }
        arms.append(
            _arm(view, tuple(task.modalities), frozen, own, registry, task, config, control.once)
        )
    kept = [arm for arm in arms if arm.name not in config.exclude]
    if not kept:
        raise ConfigError("a search needs at least one arm, --exclude leaves none; exclude less")
    return kept


def _fusions(registry: Registry, config: StudyConfig) -> tuple[str, ...]:
    """Those named; ``all``: every one that is installed; none named: the default ones."""
    if config.fusions and config.fusions != (ALL,):
        return config.fusions
    found = {name: registry.fusion(name) for name in registry.all("fusion")}
    return tuple(name for name, fusion in found.items() if fusion.default or config.fusions)


def fitting(fusion: Fusion, registry: Registry, names: Sequence[str]) -> tuple[str, ...]:
    """The regularisers among ``names`` whose needs the fusion's result fills; ``none`` always."""
    kept = tuple(n for n in names if n == "none" or not _lacks(fusion, registry.regulariser(n)))
    return kept or ("none",)


def unfitting(arms: Sequence[Arm], registry: Registry, config: StudyConfig) -> list[Finding]:
    """A sentence a regulariser that some arms are searched without."""
    found = []
    for name in [name for name in config.regularisers if name != "none"]:
        needs = registry.regulariser(name)
        without = [
            arm.name
            for arm in arms
            if arm.view.kind != "control" and _lacks(registry.fusion(arm.view.component), needs)
        ]
        if without:
            found.append(
                Finding(
                    "regularisers",
                    f"the regulariser {name!r} needs {', '.join(sorted(needs.needs))} of a fusion, "
                    f"which {', '.join(without)} do not give",
                    "these arms are searched without it",
                )
            )
    return found


def _lacks(fusion: Fusion, regulariser: Regulariser) -> bool:
    return not regulariser.needs <= fusion.gives


def _arm(
    view: ArmView,
    modalities: tuple[str, ...],
    encoders: Mapping[str, Mapping[str, Encoder]],
    own: Space,
    registry: Registry,
    task: TaskView,
    config: StudyConfig,
    once: bool = False,
) -> Arm:
    space: dict[str, Dimension] = {}
    for key in modalities:
        found = encoders[key]
        space[f"{key}/encoder"] = Choice(tuple(found))
        for name, encoder in found.items():
            space |= scoped(f"{key}/{name}", encoder.space(task))
    space |= own
    if view.kind != "control":
        space |= scoped("adapter", ADAPTER_SPACE) | scoped("train", TRAIN_SPACE)
        usable = fitting(registry.fusion(view.component), registry, config.regularisers)
        if usable != ("none",):
            space["regulariser"] = Choice(usable)
        for name in usable:
            if name != "none":
                space |= scoped(f"regulariser/{name}", registry.regulariser(name).space(task))
    for name in [name for name in config.space if name in space]:
        space[name] = dimension(f"space.{name}", config.space[name])
    return Arm(view, modalities, space, once)


def choose_encoders(
    registry: Registry, key: str, task: TaskView, config: StudyConfig
) -> dict[str, Encoder]:
    """The candidates for one modality.

    Named ones where ``encoders`` names any for it; else those whose tokens can be cached (with
    ``preset = thorough`` trained ones too), or the trained ones where there are no others.

    Raises:
        ConfigError: nothing is left, or a named one cannot run here.
    """
    modality = task.modalities[key]
    found = registry.encoders_of(modality)
    named = {name: found[name] for name in config.encoders if name in found}
    for name, encoder in named.items():
        reason = encoder.missing()
        if reason is not None:
            raise ConfigError(f"encoder {name!r} was asked for but cannot run here: {reason}")
    usable = named or {
        name: encoder
        for name, encoder in found.items()
        if encoder.default and encoder.missing() is None and name not in config.exclude
    }
    if not usable:
        raise ConfigError(
            f"every modality needs an encoder, {key!r} ({modality}) is left without one; "
            f"installed: {', '.join(found) or 'none'}; name one with --encoders, or leave the "
            "column out"
        )
    if named or config.preset == "thorough":
        return usable
    return {n: e for n, e in usable.items() if is_frozen(e, task)} or usable


def is_frozen(encoder: Encoder, task: TaskView) -> bool:
    """Whether its tokens are cached at its default parameters."""
    return encoder.frozen(defaults(encoder.space(task)))


def _check_names(registry: Registry, task: TaskView, config: StudyConfig) -> None:
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
    known |= {key.replace(":", "_") + ONLY for key in task.modalities}
    for name in config.exclude:
        if name not in known:
            raise ConfigError(unknown("component or arm", name, known, source="--exclude"))
    _check_space(registry, task, config)


def _check_space(registry: Registry, task: TaskView, config: StudyConfig) -> None:
    """A parameter that no arm has would be ignored in silence; an impossible value, fail later."""
    known = _parameters(registry, task)
    for name, given in config.space.items():
        if name not in known:
            raise ConfigError(unknown("parameter", name, known, source="space"))
        for value in dimension(f"space.{name}", given).ends():
            if not _fits(name, known[name], value):
                raise ConfigError(
                    f"space.{name} must be {_words(known[name])}, it was given {value!r}"
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
