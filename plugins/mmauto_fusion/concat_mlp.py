"""Early fusion: pool each modality, concatenate, classify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    FeatureSpec,
    Fusion,
    FusionResult,
    HeadFactory,
    Params,
    Space,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class ConcatMlp(Fusion):
    """Each modality's mean token, concatenated ``(B, sum of D)``, through an MLP.

    With one modality it is the plain classifier that serves as the single-modality contender.
    """

    name = "concat_mlp"
    stage = "early"
    gives = frozenset({"fused"})
    summary = "mean token of each modality, concatenated, through an MLP"
    reference = "Ngiam et al. 2011, Multimodal Deep Learning, ICML"

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of the MLP."""
        return MLP_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys = sorted(features)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.trunk = mlp(sum(features[key].dim for key in keys), params)
                self.heads = heads(int(params["width"]))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = torch.cat([tokens[key].mean() for key in keys], dim=-1)
                fused = self.trunk(pooled)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
