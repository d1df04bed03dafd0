"""Arms that a study file defines, and regularisers that not every fusion can have."""

from __future__ import annotations

from typing import Any

import pytest

from mmauto.config import from_mapping
from mmauto.errors import ConfigError
from mmauto.registry import load_registry
from mmauto.tuning.arm_findings import unfitting, untrained
from mmauto.tuning.arms import Arm, make_arms
from mmauto.tuning.record import command
from mmauto.values import TargetSpec, TaskView

TASK = TaskView(
    "t", {"image": "image", "text": "text"}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y",
    "auroc",
)  # fmt: skip
REGISTRY = load_registry()
FIXED = {
    "text/encoder": "flat", "text/lstm/width": 64, "text/lstm/layers": 1,
    "text/lstm/bidirectional": False, "text/lstm/dropout": 0.0, "text/lstm/pool": "last",
    "fusion/width": 32, "fusion/depth": 1, "fusion/dropout": 0.0, "adapter/width": 0,
    "train/lr": 0.001, "train/weight_decay": 0.0, "train/batch_size": 64,
} | {"text/encoder": "lstm"}  # fmt: skip


def arms(**settings: Any) -> dict[str, Arm]:
    config = from_mapping({"task": "t", **settings})
    return {arm.name: arm for arm in make_arms(REGISTRY, TASK, config)}


def test_an_own_arm_has_its_space_and_modalities_and_no_other_fusion_beside() -> None:
    found = arms(arms={"mine": {"fusion": "concat_mlp", "modalities": ["text"], "space": FIXED}})
    mine = found["mine"]
    assert (mine.view.component, mine.modalities, mine.once) == ("concat_mlp", ("text",), True)
    assert {arm.view.name for arm in found.values() if arm.view.kind == "fusion"} == {"mine"}
    assert mine.candidate({}).params["text/lstm/width"] == 64
    # the study's other arms keep their own encoders
    assert "lstm" not in found["text_only"].space["text/encoder"].options  # type: ignore[union-attr]


def test_an_own_arm_beside_named_fusions_is_searched_where_something_is_left_free() -> None:
    found = arms(
        arms={"mine": {"fusion": "gmu", "space": {"fusion/width": [64, 128]}}}, fusions="concat_mlp"
    )
    assert {"mine", "concat_mlp"} <= set(found)
    assert not found["mine"].once
    assert found["mine"].space["fusion/width"].options == (64, 128)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fusion": "gmuu"}, "unknown fusion 'gmuu' (from arms.mine); did you mean 'gmu'?"),
        ({"fusion": "gmu", "modalities": ["sound"]}, "unknown modality 'sound' (from arms.mine)"),
        ({"fusion": "gmu", "space": {"fusion/wide": 3}}, "'fusion/wide' (from arms.mine.space)"),
        ({"fusion": "gmu", "space": {"train/optimiser": "lion"}}, "must be one of adamw, adam"),
        (
            {"fusion": "gmu", "space": {"fusion/experts": 4}},
            "'fusion/experts' is no parameter of fusion 'gmu' and its encoders",
        ),
        ({"fusion": "gmu", "spaces": {}}, "unknown part of an arm 'spaces'"),
        ({"space": {}}, 'must be a table with a fusion, e.g. fusion = "concat_mlp"'),
        ({"fusion": "gmu", "modalities": "text"}, "must be a list of names, it is 'text'"),
        ({"fusion": "gmu", "space": 3}, "space must be a table, it is 3"),
    ],
)
def test_a_wrong_arm_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        arms(arms={"mine": given})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["text_only", "logistic", "concat_mlp"])
def test_an_arm_is_not_called_like_another(name: str) -> None:
    with pytest.raises(ConfigError, match=f"arms.{name} is called like an arm that the study has"):
        arms(arms={name: {"fusion": "gmu"}}, fusions="concat_mlp")


def test_a_regulariser_that_relates_modalities_is_not_for_one_alone() -> None:
    found = arms(regularisers=["none", "infonce", "manifold_mixup"])
    assert found["text_only"].space["regulariser"].options == ("none", "manifold_mixup")  # type: ignore[union-attr]
    assert "infonce" in found["concat_mlp"].space["regulariser"].options  # type: ignore[union-attr]


def test_an_arm_s_name_keeps_to_its_folder() -> None:
    with pytest.raises(ConfigError, match="an arm's name must be letters"):
        arms(arms={"../up": {"fusion": "gmu"}})


def test_a_regulariser_that_a_fusion_cannot_have_is_left_out_with_a_sentence() -> None:
    config = from_mapping(
        {"task": "t", "fusions": ["concat_mlp", "logit_sum"], "regularisers": ["none", "ogm_ge"]}
    )
    found = make_arms(REGISTRY, TASK, config)
    spaces = {arm.name: arm.space for arm in found}
    assert spaces["logit_sum"]["regulariser"].options == ("none", "ogm_ge")  # type: ignore[union-attr]
    assert "regulariser" not in spaces["concat_mlp"]
    (finding,) = unfitting(found, REGISTRY, config)
    assert "'ogm_ge' needs per_modality of a fusion, which concat_mlp" in finding.text


def test_a_fusion_that_refuses_the_targets_is_no_arm() -> None:
    numbers = TaskView(
        "t", dict(TASK.modalities), {"y": TargetSpec("y", "regression")}, "y", "r2"
    )  # fmt: skip

    def names(**settings: Any) -> set[str]:
        return {
            a.name for a in make_arms(REGISTRY, numbers, from_mapping({"task": "t", **settings}))
        }

    assert "gmu" in names(fusions="all")
    assert "trusted" not in names(fusions="all")
    with pytest.raises(ConfigError, match="fusion 'trusted' cannot take part here: evidence is"):
        names(fusions="trusted")
    with pytest.raises(ConfigError, match=r"arms\.mine: fusion 'trusted' cannot take part here"):
        names(arms={"mine": {"fusion": "trusted"}})


def test_what_no_flag_can_say_is_reproduced_from_its_file() -> None:
    config = from_mapping({"task": "t", "name": "s", "arms": {"mine": {"fusion": "gmu"}}})
    assert command(config) == "mmauto search studies/s/study.toml"


def test_random_weights_are_said() -> None:
    space = {"image/encoder": "resnet18", "image/resnet18/weights": "random"}
    found = arms(arms={"mine": {"fusion": "gmu", "space": space}})
    (finding,) = untrained(list(found.values()))
    assert "the weights of resnet18 (image) in mine are random" in finding.text
