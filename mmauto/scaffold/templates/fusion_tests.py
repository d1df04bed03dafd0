"""The contract of the fusion, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mmauto.plugin import FeatureSpec, TargetSpec, Tokens
from mmauto.scaffold.templates.fusion import ScaffoldNameFusion
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ScaffoldNameFusion()])
def test_contract(component: ScaffoldNameFusion, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


class Heads:
    """One binary target."""

    targets: Mapping[str, TargetSpec] = {"sick": TargetSpec("sick", "binary", ("no", "yes"))}

    def __call__(self, dim: int) -> torch.nn.Module:
        """``(B, dim) -> {"sick": (B, 1)}``."""

        class Head(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = torch.nn.Linear(dim, 1)

            def forward(self, fused: torch.Tensor) -> dict[str, torch.Tensor]:
                return {"sick": self.linear(fused)}

        return Head()


def test_an_absent_modality_has_no_weight() -> None:
    """Untrained, those that are present share alike."""
    features = {"image": FeatureSpec(4, 8), "text": FeatureSpec(2, 8)}
    model = ScaffoldNameFusion().build(features, Heads(), {"width": 16, "dropout": 0.0})
    tokens = {
        key: Tokens(torch.randn(3, spec.tokens, 8), torch.ones(3, spec.tokens, dtype=torch.bool))
        for key, spec in features.items()
    }
    here = {"image": torch.tensor([True, False, True]), "text": torch.tensor([True, True, False])}
    result = model(tokens, here)
    assert result.outputs["sick"].shape == (3, 1)
    assert result.weights["image"].tolist() == [0.5, 0.0, 1.0]
    assert result.weights["text"].tolist() == [0.5, 1.0, 0.0]
