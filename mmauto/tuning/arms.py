"""The contenders of a study: each with its own flat search space and the same number of trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from mmauto.config import StudyConfig
from mmauto.config_space import dimension
from mmauto.contracts import Encoder, Fusion, Regulariser
from mmauto.engine.jobs import Candidate
from mmauto.engine.train_space import ADAPTER_SPACE, TRAIN_SPACE
from mmauto.errors import ConfigError, unknown
from mmauto.registry import Registry
from mmauto.space import Choice, Dimension, Float, Params, Space, defaults, scoped
from mmauto.tuning.admit import ALL, check_names, check_space
from mmauto.tuning.encoders import choose_encoders, is_frozen
from mmauto.values import FeatureSpec, TaskView, single_arm
from mmauto.views import ArmView

SINGLE = "concat_mlp"
"""The fusion that stands for "one modality alone": the same head, one modality."""


@dataclass(frozen=True)
class Arm:
    """One contender.

    Attributes:
        once: one trial is all it gets (the majority class).
        packing: parameters that may differ within a pack, as their components declare them: a
            study file that gives one another range does not change what it is.
    """

    view: ArmView
    modalities: tuple[str, ...]
    space: Mapping[str, Dimension]
    once: bool = False
    packing: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Unique in the study; also the name of its folder under ``models/``."""
        return self.view.name

    def candidate(self, params: Params) -> Candidate:
        """The candidate of some parameters; those added to the space since take their defaults."""
        kind: Literal["fusion", "control"] = "control" if self.view.kind == "control" else "fusion"
        return Candidate(
            kind, self.view.component, self.modalities, {**defaults(self.space), **params}
        )

    def pack(self, params: Params) -> str:
        """A digest that is equal where two trials have the same shapes; empty for controls.

        Parameters of encoders and regularisers that were not chosen do not count.
        """
        if self.view.kind == "control":
            return ""
        full = {**defaults(self.space), **params}
        shaping = {
            name: full[name]
            for name in sorted(self.space)
            if name not in self.packing and self._counts(name, full)
        }
        return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:12]

    def pack_size(self, most: int) -> int:
        """How many trials that differ in nothing but their packing numbers are worth asking."""
        chosen = defaults(self.space)
        room = 1
        for name in self.packing:
            wanted = self.space[name]
            if self._counts(name, chosen):
                room *= len(wanted.options) if isinstance(wanted, Choice) else most
        return min(room, most) if self.view.kind != "control" else 1

    def _counts(self, name: str, params: Params) -> bool:
        """Whether a parameter does anything, given the encoders and the regulariser chosen."""
        owners = {f"{key}/": f"{key}/encoder" for key in self.modalities}
        for prefix, chooser in {**owners, "regulariser/": "regulariser"}.items():
            if name.startswith(prefix) and name != chooser:
                return name.startswith(f"{prefix}{params.get(chooser)}/")
        return True


def make_arms(
    registry: Registry,
    task: TaskView,
    config: StudyConfig,
    used: Mapping[str, Container[str]] = MappingProxyType({}),
) -> list[Arm]:
    """Every fusion, each modality alone, and the controls.

    Args:
        used: modality -> encoders of a stored study's trials: they stay in the choice, whatever
            the default would be today.

    Raises:
        ConfigError: a name does not exist, or nothing is left to compare.
    """
    check_names(registry, task, config)
    encoders = {}
    for key in task.modalities:
        chosen = choose_encoders(registry, key, task, config)
        known = registry.encoders_of(task.modalities[key])
        encoders[key] = {n: e for n, e in known.items() if n in chosen or n in used.get(key, ())}
    arms = []
    for name in _fusions(registry, config):
        fusion = registry.fusion(name)
        reason = refusal(fusion, task, tuple(task.modalities))
        if reason and name in config.fusions:
            raise ConfigError(f"fusion {name!r} cannot take part here: {reason}; leave it out")
        if fusion.missing() is None and len(task.modalities) > 1 and not reason:
            view = ArmView(name, "fusion", name, fusion.stage, fusion.summary)
            own = scoped("fusion", fusion.space(task))
            arms.append(_arm(view, tuple(task.modalities), encoders, own, registry, task, config))
    arms += [_own_arm(name, registry, task, config) for name in config.arms]
    for key in task.modalities:
        head = registry.fusion(SINGLE)
        view = ArmView(single_arm(key), "single", SINGLE, "single modality", f"{key} alone")
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
    names = [arm.name for arm in arms]
    double = [name for name in config.arms if names.count(name) > 1]
    if double:
        raise ConfigError(
            f"an arm's name is its own, arms.{double[0]} is called like an arm that the study has "
            "anyway; give it another name"
        )
    kept = [arm for arm in arms if arm.name not in config.exclude]
    if not kept:
        raise ConfigError("a search needs at least one arm, --exclude leaves none; exclude less")
    return kept


def _fusions(registry: Registry, config: StudyConfig) -> tuple[str, ...]:
    """Those named; ``all``: every one that is installed; none named: the default ones.

    A study with arms of its own has no others unless they are named.
    """
    if (config.fusions or config.arms) and config.fusions != (ALL,):
        return config.fusions
    found = {name: registry.fusion(name) for name in registry.all("fusion")}
    return tuple(name for name, fusion in found.items() if fusion.default or config.fusions)


def refusal(fusion: Fusion, task: TaskView, keys: Sequence[str]) -> str | None:
    """Why a fusion cannot have the task's targets or so many modalities; None where it can."""
    return fusion.refuses(dict.fromkeys(keys, FeatureSpec(1, 64)), task.targets)


def fitting(
    fusion: Fusion, registry: Registry, names: Sequence[str], modalities: int
) -> tuple[str, ...]:
    """The regularisers among ``names`` whose needs the fusion's result fills; ``none`` always.

    Those that relate modalities are for arms of several.
    """
    kept = tuple(
        name
        for name in names
        if name == "none"
        or not (
            lacks(fusion, registry.regulariser(name))
            or (modalities < 2 and registry.regulariser(name).relates)
        )
    )
    return kept or ("none",)


def lacks(fusion: Fusion, regulariser: Regulariser) -> bool:
    """Whether the regulariser needs a field that the fusion does not give."""
    return not regulariser.needs <= fusion.gives


def _own_arm(name: str, registry: Registry, task: TaskView, config: StudyConfig) -> Arm:
    """An arm of the study file: a fusion on some modalities, with a space of its own.

    Where everything in it is fixed, one trial is all it needs.
    """
    given, source = config.arms[name], f"arms.{name}"
    fusion = registry.fusion(given["fusion"], source)
    keys = tuple(given.get("modalities") or task.modalities)
    odd = [key for key in keys if key not in task.modalities]
    if odd:
        raise ConfigError(unknown("modality", odd[0], task.modalities, source=source))
    reason = refusal(fusion, task, keys)
    if reason:
        raise ConfigError(f"{source}: fusion {fusion.name!r} cannot take part here: {reason}")
    space = given.get("space", {})
    check_space(registry, task, space, f"{source}.space")
    encoders = {}
    for key in keys:
        chosen = space.get(f"{key}/encoder", config.encoders)
        names = (chosen,) if isinstance(chosen, str) else tuple(chosen)
        encoders[key] = choose_encoders(registry, key, task, replace(config, encoders=names))
    view = ArmView(name, "fusion", fusion.name, fusion.stage, fusion.summary)
    own = scoped("fusion", fusion.space(task))
    both = replace(config, space={**config.space, **space})
    arm = _arm(view, keys, encoders, own, registry, task, both)
    unused = [parameter for parameter in space if parameter not in arm.space]
    if unused:
        raise ConfigError(
            f"{source}.space fixes what the arm has, {unused[0]!r} is no parameter of fusion "
            f"{fusion.name!r} and its encoders "
            f"({', '.join(n for found in encoders.values() for n in found)}); drop it, or name the "
            "encoder that has it"
        )
    fixed = all(isinstance(d, Choice) and len(d.options) == 1 for d in arm.space.values())
    return replace(arm, once=fixed)


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
        usable = fitting(
            registry.fusion(view.component), registry, config.regularisers, len(modalities)
        )
        if usable != ("none",):
            space["regulariser"] = Choice(usable)
        for name in usable:
            if name != "none":
                space |= scoped(f"regulariser/{name}", registry.regulariser(name).space(task))
    packing = frozenset(
        n for n, wanted in space.items() if isinstance(wanted, Float) and wanted.packs
    )
    for name in [name for name in config.space if name in space]:
        space[name] = dimension(f"space.{name}", config.space[name])
    return Arm(view, modalities, space, once, packing)
