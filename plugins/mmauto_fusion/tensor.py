"""Bilinear fusion: the full outer product of small projections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    FeatureSpec,
    Fusion,
    FusionResult,
    HeadFactory,
    Params,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class TensorFusion(Fusion):
    """The outer product of all modalities, each projected to ``size`` numbers with 1 appended.

    ``(size + 1) ** modalities`` numbers: single modalities, pairs, triples ... stand side by side.
    """

    name = "tensor"
    stage = "bilinear"
    summary = "full outer product of small projections, each with 1 appended"
    reference = "Zadeh et al. 2017, Tensor Fusion Network (TFN), EMNLP"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of the MLP, and the size of each projection."""
        return {**MLP_SPACE, "size": Choice((4, 8, 16), 8)}

    def refuses(
        self, features: Mapping[str, FeatureSpec], targets: Mapping[str, TargetSpec]
    ) -> str | None:
        """More than four modalities would need a product of a million numbers."""
        if len(features) <= MOST:
            return None
        return f"its outer product takes at most {MOST} modalities, {len(features)} are given"

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, (size + 1)^M) -> fused (B, width) -> outputs``."""
        from torch import nn

        keys, size = sorted(features), int(params["size"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(
                    nn.Sequential(nn.Linear(features[key].dim, size), nn.Tanh()) for key in keys
                )
                self.trunk = mlp((size + 1) ** len(keys), params)
                self.heads = heads(int(params["width"]))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                product = None
                for key, layer in zip(keys, self.project, strict=True):
                    part = nn.functional.pad(layer(tokens[key].mean()), (0, 1), value=1.0)
                    if product is None:
                        product = part
                    else:
                        product = (product.unsqueeze(-1) * part.unsqueeze(1)).flatten(1)
                fused = self.trunk(product)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()


MOST = 4
