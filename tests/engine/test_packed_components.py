"""Every installed component in a pack: its trials get what they get one by one, form by form.

The kit's own comparison (`mmauto.testing`): a step and the outputs of trials whose weights differ,
and whose packed numbers stand at several places of their ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmauto.contracts import Component, Encoder
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.registry import Registry, load_registry
from mmauto.space import Choice, Float
from mmauto.testing.fakes import default_params, task_view
from mmauto.testing.pack_world import agreeing
from mmauto.testing.packing import packed_numbers, spread

Make = Callable[..., TrialJob]
REGISTRY = load_registry()

FOLDS = {
    "encoder": {"mlp"},
    "fusion": {
        "additive_attention", "alignment_matrix", "concat_mlp", "cross_attention", "film", "gmu",
        "joint_auxiliary", "logit_mean", "logit_sum", "low_rank_tensor", "mfb", "multimodal_rnn",
        "multiplicative", "self_attention", "tensor", "trusted",
    },
    "regulariser": {"modality_dropout"},
}  # fmt: skip
"""Made of layers alone, with nothing that compares the rows of a batch."""

ALONE = {
    "lstm": "torch cannot map its fused LSTM", "gru": "torch cannot map its fused GRU",
    "adversarial": "it asks for gradients inside of the step",
    "adversarial_training": "it asks for gradients inside of the step",
    "ogm_ge": "it changes gradients after the step",
}  # fmt: skip
"""What no form takes, and why; it trains one by one."""

DEEP = {"detector", "resnet18", "resnet50", "timm", "vgg11", "vgg16"}
"""In training, their norms over small batches make rounding larger than any bound."""
SLOW = {"conv_vae", "flat_cnn", "hf_image", "hf_text", "minilm", "small_cnn", "vit"}


def trains(component: Component) -> bool:
    """Whether its network stands in a trial's model."""
    if component.missing():
        return False
    return not (isinstance(component, Encoder) and component.frozen(default_params(component)))


def in_packs() -> list[Any]:
    """All components whose networks may be in a pack."""
    return [
        pytest.param(
            kind, entry.component, id=f"{kind}-{name}", marks=[pytest.mark.slow] * (name in SLOW)
        )
        for kind in ("encoder", "fusion", "regulariser")
        for name, entry in REGISTRY.all(kind).items()
        if entry.distribution == "mmauto" and trains(entry.component) and name not in DEEP
    ]


def forms_for(kind: str, name: str) -> list[str]:
    if name in ALONE:
        return []
    return ["folded", "vmapped"] if name in FOLDS[kind] else ["vmapped"]


@pytest.mark.parametrize(("kind", "component"), in_packs())
def test_each_trial_gets_its_own_step_and_outputs(kind: str, component: Component) -> None:
    trials = spread(component, packed_numbers(component))
    assert agreeing(component, trials) == forms_for(kind, component.name)


def structures() -> list[Any]:
    """Every option of every component that takes part in packs, the other parameters at default."""
    return [
        pytest.param(
            case.values[0], case.values[1], {key: option},
            id=f"{case.id}-{key}-{option}", marks=case.marks,
        )
        for case in in_packs()
        for key, dimension in case.values[1].space(task_view()).items()
        if isinstance(dimension, Choice) and case.values[1].name not in ALONE
        for option in dimension.options
        if option != default_params(case.values[1])[key]
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "component", "changed"), structures())
def test_each_structure_of_a_component_packs_alike(
    kind: str, component: Component, changed: Mapping[str, Any]
) -> None:
    trials = spread(component, packed_numbers(component))
    assert agreeing(component, [{**own, **changed} for own in trials])


@pytest.mark.parametrize("kind", ["fixed", "uncertainty"])
@pytest.mark.parametrize("fusion", ["concat_mlp", "logit_mean"])
def test_weights_of_targets_are_each_trials_own(kind: str, fusion: str) -> None:
    component = REGISTRY.fusion(fusion)
    trials = spread(component, packed_numbers(component))
    found = agreeing(component, trials, {"target_weights": kind})
    assert found == (["folded", "vmapped"] if kind == "fixed" else ["vmapped"])


def run(
    setup: Setup, registry: Registry, jobs: Sequence[TrialJob]
) -> tuple[list[Outcome], list[Outcome]]:
    """A pack's outcomes, and those of its trials one by one."""

    def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        return dict.fromkeys(values, True)

    alone = [replace(job, pack="") for job in jobs]
    packed, single = (Executor(setup, registry).run_pack(part, go_on) for part in (jobs, alone))
    return list(packed), list(single)


def trial_params(kind: str, component: Component, setup: Setup) -> list[dict[str, Any]]:
    """Three trials that differ in everything that packs."""
    prefixes = {
        "encoder": [f"{key}/{component.name}" for key in ("left", "right")],
        "fusion": ["fusion"],
        "regulariser": [f"regulariser/{component.name}"],
    }[kind]
    found = []
    for place, (rate, decay) in enumerate(((1e-3, 1e-3), (5e-3, 1e-1), (2e-3, 1e-2))):
        params: dict[str, Any] = {"train/lr": rate, "train/weight_decay": decay}
        for name, dimension in component.space(setup.task).items():
            value: Any = dimension.default
            if isinstance(dimension, Float) and dimension.packs:
                value = dimension.low + place / 2 * (dimension.high - dimension.low)
            params |= {f"{prefix}/{name}": value for prefix in prefixes}
        if kind == "regulariser":
            params["regulariser"] = component.name
        found.append(params)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "target_weights"),
    [
        *(
            ("regulariser", name, "fixed")
            for name in sorted(REGISTRY.all("regulariser"))
        ),
        ("encoder", "mlp", "fixed"), ("encoder", "ft_transformer", "fixed"),
        ("fusion", "concat_mlp", "uncertainty"), ("fusion", "concat_mlp", "gradnorm"),
    ],
)  # fmt: skip
def test_the_whole_training_of_a_pack_is_that_of_its_trials(
    kind: str,
    name: str,
    target_weights: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    component = REGISTRY.entry(kind, name).component
    votes = name in ("ogm_ge", "gradient_blending")  # they need each modality's own outputs
    fusion = "joint_auxiliary" if votes else "concat_mlp"
    encoder = name if kind == "encoder" else "toy_frozen"
    jobs = [
        make_job(
            place, encoder=encoder, component=fusion, pack="p", epochs=4,
            params={**params, "fusion/dropout": 0.0, "fusion/weight": 0.3,
                    "train/target_weights": target_weights},
        )
        for place, params in enumerate(trial_params(kind, component, setup))
    ]  # fmt: skip
    used = forced("vmapped")
    packed, alone = run(setup, registry, jobs)
    assert [outcome.failure for outcome in (*packed, *alone)] == [None] * 6
    assert used == ["alone" if name in ALONE or target_weights == "gradnorm" else "vmapped"]
    assert len({outcome.losses for outcome in alone}) == len(jobs)
    for one, other in zip(packed, alone, strict=True):
        assert one.state == other.state == "complete"
        assert np.allclose(one.losses, other.losses, rtol=1e-3, atol=1e-5)
        assert all(np.allclose(one.valid[n], other.valid[n], atol=5e-3) for n in other.valid)
