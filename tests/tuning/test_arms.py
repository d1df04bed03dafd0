"""Which contenders a study has, which encoders they choose from, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mmauto.config import StudyConfig, from_mapping
from mmauto.errors import ConfigError
from mmauto.registry import Registry, load_registry
from mmauto.space import Choice, Float
from mmauto.tuning.arms import Arm, make_arms
from mmauto.values import TargetSpec, TaskView

TASK = TaskView(
    "t",
    {"image": "image", "text": "text", "tabular": "tabular"},
    {"y": TargetSpec("y", "multiclass", ("a", "b", "c"))},
    "y",
    "balanced_accuracy",
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def config(**changes: Any) -> StudyConfig:
    return from_mapping({"task": "medical", **changes})


def test_default_fusions_each_modality_and_every_control_are_arms(registry: Registry) -> None:
    arms = {arm.name: arm for arm in make_arms(registry, TASK, config())}
    assert {n for n, a in arms.items() if a.view.kind == "fusion"} == {
        n for n in registry.all("fusion") if registry.fusion(n).default
    }
    singles = {n: a.modalities for n, a in arms.items() if a.view.kind == "single"}
    assert singles == {
        "image_only": ("image",), "text_only": ("text",), "tabular_only": ("tabular",)
    }  # fmt: skip
    assert {n for n, a in arms.items() if a.view.kind == "control"} == set(registry.all("control"))
    assert arms["majority"].once


def test_all_fusions_may_be_asked_for(registry: Registry) -> None:
    arms = make_arms(registry, TASK, config(fusions="all"))
    assert {a.name for a in arms if a.view.kind == "fusion"} == set(registry.all("fusion"))


def test_default_encoders_are_those_whose_tokens_are_cached(registry: Registry) -> None:
    (arm,) = (a for a in make_arms(registry, TASK, config()) if a.name == "concat_mlp")
    usable = {n for n in ("bag_of_words", "minilm") if registry.encoder(n).missing() is None}
    assert set(arm.space["text/encoder"].options) == usable
    assert arm.space["tabular/encoder"].options == ("mlp",)  # trained: there is no other


def test_trained_encoders_join_by_preset_or_name(registry: Registry) -> None:
    (arm,) = (
        a for a in make_arms(registry, TASK, config(preset="thorough")) if a.name == "concat_mlp"
    )
    assert {"lstm", "embedding_mean", "bag_of_words"} <= set(arm.space["text/encoder"].options)
    assert "resnet18" not in arm.space["image/encoder"].options
    (arm,) = (
        a for a in make_arms(registry, TASK, config(encoders="lstm")) if a.name == "concat_mlp"
    )
    assert arm.space["text/encoder"].options == ("lstm",)


def test_without_the_extra_trained_encoders_step_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("efficientnet_lite0", "minilm"):
        monkeypatch.setattr(type(registry.encoder(name)), "missing", lambda self: "not installed")
    (arm,) = (a for a in make_arms(registry, TASK, config()) if a.name == "concat_mlp")
    assert arm.space["image/encoder"].options == ("small_cnn",)
    assert arm.space["text/encoder"].options == ("bag_of_words",)
    with pytest.raises(ConfigError, match="was asked for but cannot run here: not installed"):
        make_arms(registry, TASK, config(encoders="minilm"))


def test_a_single_modality_has_no_fusion_arm(registry: Registry) -> None:
    task = dataclasses.replace(TASK, modalities={"text": "text"})
    arms = make_arms(registry, task, config())
    assert not [arm for arm in arms if arm.view.kind == "fusion"]
    assert "text_only" in {arm.name for arm in arms}


def test_a_study_file_fixes_and_widens_parameters(registry: Registry) -> None:
    space = {
        "train/optimiser": ["adamw", "sgd"],
        "train/lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "fusion/width": 77,
    }
    (arm,) = (a for a in make_arms(registry, TASK, config(space=space)) if a.name == "concat_mlp")
    assert arm.space["train/optimiser"] == Choice(("adamw", "sgd"))
    rate = arm.space["train/lr"]
    assert isinstance(rate, Float)
    assert (rate.low, rate.high, rate.log) == (1e-5, 1e-1, True)
    assert rate.default == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"train/lrr": 1e-3}}, "did you mean 'train/lr'?"),
        ({"space": {"train/optimiser": "lion"}}, "must be one of adamw, adam, sgd"),
        ({"space": {"train/lr": 99.0}}, "space.train/lr must be a number from 1e-07 to 10"),
        ({"space": {"text/encoder": "nope"}}, "space.text/encoder must be one of bag_of_words"),
        ({"space": {"adapter/width": -1}}, "must be a number from 0 to 4096"),
        ({"exclude": "text_onyl"}, "did you mean 'text_only'?"),
        ({"controls": "bosting"}, "unknown control 'bosting' (from --controls)"),
        ({"regularisers": "mixup"}, "unknown regulariser 'mixup' (from --regularisers)"),
        ({"exclude": ["bag_of_words", "minilm"]}, "every modality needs an encoder, 'text'"),
    ],
)
def test_what_cannot_be_is_refused(
    registry: Registry, changes: dict[str, Any], message: str
) -> None:
    if changes.get("exclude") == ["bag_of_words", "minilm"]:
        changes = {"exclude": [*registry.encoders_of("text")]}
    with pytest.raises(ConfigError) as caught:
        make_arms(registry, TASK, config(**changes))
    assert message in str(caught.value)


def test_stored_parameters_are_completed_with_todays_defaults(registry: Registry) -> None:
    (arm,) = (a for a in make_arms(registry, TASK, config()) if a.name == "concat_mlp")
    candidate = arm.candidate({"train/lr": 0.005})
    assert candidate.params["train/lr"] == 0.005
    assert set(candidate.params) == set(arm.space)


# ------------------------------------------------------------------------------- packs


def packing_arm(registry: Registry, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Arm:
    """An arm whose fusion declares a dropout that packs."""
    fusion = type(registry.fusion("concat_mlp"))
    declared = {"width": Choice((32, 64)), "dropout": Float(0.0, 0.5, 0.1, packs=True)}
    monkeypatch.setattr(fusion, "space", lambda self, task: declared)
    arms = make_arms(registry, TASK, config(**settings))
    return next(arm for arm in arms if arm.name == "concat_mlp")


@pytest.mark.parametrize(
    "given", [None, 0.2, [0.1, 0.2], {"low": 0.0, "high": 0.9}, {"low": 0, "high": 1}]
)
def test_what_packs_is_what_components_declare_whatever_the_study_file_says(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    space = {} if given is None else {"fusion/dropout": given}
    arm = packing_arm(registry, monkeypatch, space=space)
    assert "fusion/dropout" in arm.packing
    assert "fusion/width" not in arm.packing
    assert "train/batch_size" not in arm.packing


def test_only_what_decides_on_shapes_is_in_the_digest(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = packing_arm(
        registry, monkeypatch, encoders=["bag_of_words", "lstm"], regularisers=["none", "infonce"]
    )
    base = {"text/encoder": "lstm", "regulariser": "none"}
    one = arm.pack(base)
    assert len(one) == 12
    same = {"fusion/dropout": 0.4, "text/bag_of_words/words": 7, "regulariser/infonce/weight": 9.0}
    assert arm.pack({**base, **same}) == one
    for other in (
        {"fusion/width": 64}, {"text/encoder": "bag_of_words"}, {"text/lstm/width": 999},
        {"train/batch_size": 32}, {"regulariser": "infonce"},
    ):  # fmt: skip
        assert arm.pack({**base, **other}) != one


def test_controls_have_no_packs(registry: Registry) -> None:
    arms = {arm.name: arm for arm in make_arms(registry, TASK, config())}
    assert arms["boosting"].pack({}) == ""
    assert arms["boosting"].pack_size(4) == 1
