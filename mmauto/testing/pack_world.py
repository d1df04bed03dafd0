"""Trials of one component as a search packs them: models of the engine on the kit's samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.contracts import Component, Encoder, Fusion, Regulariser
from mmauto.space import Params
from mmauto.testing.fakes import (
    FEATURES,
    TARGETS,
    PlainFusion,
    column,
    target_arrays,
    tokens,
)
from mmauto.testing.fusion_world import widest
from mmauto.values import FeatureSpec, TargetSpec

if TYPE_CHECKING:
    from mmauto.engine.features import Inputs
    from mmauto.engine.jobs import Candidate, Setup
    from mmauto.registry import Registry

ROWS, WIDTH = 12, 16
FORMS = ("folded", "vmapped")
"""Of `mmauto.engine.packed`, beside one by one; a GPU has both as graphs, too."""


def agreeing(
    component: Component, trials: Sequence[Params], train: Mapping[str, str] | None = None
) -> list[str]:
    """The forms of a pack that give each trial its own gradients and outputs, by name.

    Args:
        trials: the component's parameters, a trial each.
        train: parameters of the engine, e.g. ``target_weights``.
    """
    import torch

    from mmauto.engine.batches import Data
    from mmauto.engine.losses import TaskLoss
    from mmauto.engine.model import seeded_build
    from mmauto.engine.packed.agreement import Sample, unlike
    from mmauto.engine.packed.choose import FORMS as KINDS

    made, registry = _inputs(component, trials), _registry(component)
    setup = _setup(_specs(component))
    loss = TaskLoss(setup)
    models = [
        seeded_build(
            _candidate(component, tuple(inputs), params, train or {}),
            inputs, setup.specs, registry, seed=0,
        )
        for inputs, params in zip(made, trials, strict=True)
    ]  # fmt: skip
    for model in models:  # in single precision on every machine: a half one hides small differences
        model.convolves = [False] * len(model.convolves)
    data, rows = Data(setup, made[0], loss), torch.arange(ROWS)
    arrays, present = data.gather(rows)
    with unlike(models):
        sample = Sample(models, loss, arrays, data.batch(rows, present, 0.0))
        return [name for name in FORMS if sample.agreeing(KINDS[name])]


def _specs(component: Component) -> Mapping[str, TargetSpec]:
    return widest(component)[1] if isinstance(component, Fusion) else TARGETS


def _candidate(
    component: Component, keys: tuple[str, ...], params: Params, train: Mapping[str, str]
) -> Candidate:
    from mmauto.engine.jobs import Candidate

    found: dict[str, Any] = {f"train/{name}": value for name, value in train.items()}
    # behind unequal widths, a fusion packs what it needs to bring them together
    found["adapter/width"] = 0 if isinstance(component, Fusion) else WIDTH
    found |= {f"{key}/encoder": key for key in keys}
    scope, fusion = "", PlainFusion.name
    if isinstance(component, Fusion):
        scope, fusion = "fusion", component.name
    elif isinstance(component, Regulariser):
        scope, found["regulariser"] = f"regulariser/{component.name}", component.name
    found |= {f"{scope}/{name}": value for name, value in params.items()} if scope else {}
    return Candidate("fusion", fusion, keys, found)


def _registry(component: Component) -> Registry:
    from mmauto.registry import KINDS, Entry, Registry

    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for kind, base in KINDS.items():
        for part in (PlainFusion(), component):
            if isinstance(part, base):
                entries[kind][part.name] = Entry(kind, part, "kit", "")
    return Registry(entries)


def _setup(specs: Mapping[str, TargetSpec]) -> Setup:
    from mmauto.data.splits import Splits
    from mmauto.engine.jobs import Setup

    rows = np.arange(ROWS)
    return Setup(
        None,  # type: ignore[arg-type]  # nothing here asks for the data set
        Splits(rows, rows[:0], rows[:0]), specs, target_arrays(specs, ROWS), "accuracy",
        class_weights=True, device="cpu", cache="",
    )  # fmt: skip


def _inputs(component: Component, trials: Sequence[Params]) -> list[Mapping[str, Inputs]]:
    if isinstance(component, Encoder):
        return [{component.modality: part} for part in _encoded(component, trials)]
    features = widest(component)[0] if isinstance(component, Fusion) else FEATURES
    return [_frozen(features)] * len(trials)


def _encoded(encoder: Encoder, trials: Sequence[Params]) -> list[Inputs]:
    """What is prepared once serves all trials, as in a search."""
    import torch

    from mmauto.engine.features import Inputs
    from mmauto.testing.checks_encoder import inputs_of

    samples, first = column(encoder, encoder.modality, ROWS), trials[0]
    state = encoder.fit(samples, first)
    arrays, present = inputs_of(encoder, samples, state, first), torch.from_numpy(samples.present)
    spec = encoder.features(state, first)
    return [
        Inputs(samples, encoder, own, state, arrays, present, spec, frozen=False) for own in trials
    ]


def _frozen(features: Mapping[str, FeatureSpec]) -> dict[str, Inputs]:
    """Tokens of encoders that rest, already standardised."""
    import torch

    from mmauto.engine.features import Inputs

    raw, present = tokens(features, ROWS)
    return {
        key: Inputs(
            None, None, {}, {},  # type: ignore[arg-type]  # nothing asks where tokens come from
            {"values": raw[key].values, "mask": raw[key].mask}, present[key], spec, frozen=True,
            mean=torch.zeros(spec.dim), scale=torch.ones(spec.dim),
        )
        for key, spec in features.items()
    }  # fmt: skip
