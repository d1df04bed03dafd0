"""The contracts of both components, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmauto_example.characters import ExampleCharacters
from mmauto_example.maximum import ExampleMaximum

from mmauto.plugin import Encoder, FeatureSpec, Fusion, TargetSpec, Texts, Tokens
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ExampleMaximum(), ExampleCharacters()])
def test_contract(component: Fusion | Encoder, check: Check) -> None:
    """Every check of the kit."""
    check(component)


class Heads:
    """The fused vector itself as the output of one target."""

    targets: Mapping[str, TargetSpec] = {"all": TargetSpec("all", "multilabel", ("a", "b"))}

    def __call__(self, dim: int) -> torch.nn.Module:
        """``(B, dim) -> {"all": (B, dim)}``."""

        class Same(torch.nn.Module):
            def forward(self, fused: torch.Tensor) -> dict[str, torch.Tensor]:
                return {"all": fused}

        return Same()


def test_the_largest_value_wins_among_those_present() -> None:
    """With projections that change nothing, the result is the maximum of the inputs."""
    features = {"image": FeatureSpec(1, 2), "text": FeatureSpec(1, 2)}
    model = ExampleMaximum().build(features, Heads(), {"width": 2, "dropout": 0.0})
    for projection in model.get_submodule("projections").children():
        projection.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
    real = torch.ones(2, 1, dtype=torch.bool)
    tokens = {
        "image": Tokens(torch.tensor([[[1.0, 5.0]], [[1.0, 5.0]]]), real),
        "text": Tokens(torch.tensor([[[3.0, 2.0]], [[3.0, 2.0]]]), real),
    }
    here = {"image": torch.tensor([True, False]), "text": torch.tensor([True, True])}
    assert model(tokens, here).outputs["all"].tolist() == [[3.0, 5.0], [3.0, 2.0]]


def test_a_misspelt_word_is_near_the_word() -> None:
    """Nearer than another word, even before training."""
    torch.manual_seed(0)
    encoder, params = ExampleCharacters(), {"width": 128}
    texts = Texts(["pneumonia", "pneumonea", "fractured", None])
    state = encoder.fit(texts, params)
    tokens = encoder.build(state, params)(**encoder.prepare(texts, state, params))
    right, misspelt, other, absent = tokens.values[:, 0]
    assert (right - misspelt).norm() < 0.7 * (right - other).norm()
    assert not absent.any()
