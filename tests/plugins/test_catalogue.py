"""Every name of the catalogue is there, as a plugin that came in by its entry point."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

NAMES = {
    "fusion": """concat_mlp logit_sum logit_mean logit_weighted logit_product late_transformer
        cross_attention additive_attention self_attention gmu film low_rank_tensor tensor mfb
        bottleneck single_stream perceiver joint_auxiliary shared_private trusted expert_mixture
        poe_vae multiplicative multimodal_cnn multimodal_rnn policy alignment_matrix""",
    "regulariser": """infonce sigmoid positive_only cca coral cmd vicreg mmd mutual_information
        matrix_factorisation collinearity adversarial reconstruction modality_dropout
        manifold_mixup ogm_ge gradient_blending adversarial_training pseudo_labels""",
    "control": "majority boosting logistic",
    "encoder": """small_cnn flat_cnn resnet18 resnet50 vgg11 vgg16 efficientnet_lite0 vit detector
        timm hf_image conv_vae bag_of_words embedding_mean word_vectors lstm gru text_cnn
        small_transformer minilm hf_text mlp ft_transformer tabular_text""",
}
STAGES = {
    "concat_mlp": "early", "logit_sum": "late", "late_transformer": "late",
    "cross_attention": "attention", "gmu": "gated", "film": "conditioning",
    "low_rank_tensor": "bilinear", "tensor": "bilinear", "mfb": "bilinear",
    "bottleneck": "attention", "single_stream": "early", "perceiver": "attention",
    "joint_auxiliary": "multitask", "shared_private": "multitask", "trusted": "late",
    "expert_mixture": "routed", "poe_vae": "generative", "multiplicative": "hypernetwork",
    "multimodal_cnn": "early", "multimodal_rnn": "early", "policy": "reinforcement",
    "alignment_matrix": "early",
}  # fmt: skip


@pytest.fixture(scope="module")
def listed() -> list[dict[str, str]]:
    command = [sys.executable, "-m", "mmauto", "plugins", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    rows: list[dict[str, str]] = json.loads(found.stdout)["components"]
    return rows


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_each_name_is_listed_with_its_source(kind: str, listed: list[dict[str, str]]) -> None:
    own = {row["name"]: row for row in listed if row["kind"] == kind}
    assert set(NAMES[kind].split()) <= set(own)
    assert all(row["reference"] and row["summary"] for row in own.values())


def test_the_stages_are_those_of_the_catalogue(listed: list[dict[str, str]]) -> None:
    roles = {row["name"]: row["role"] for row in listed if row["kind"] == "fusion"}
    assert {name: roles[name] for name in STAGES} == STAGES
