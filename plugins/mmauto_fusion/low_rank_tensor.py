"""Bilinear fusion: the outer product of all modalities, factorised."""

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
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class LowRankTensor(Fusion):
    """``sum_r prod_m [x_m, 1] W_m,r``: the tensor fusion of rank ``rank``, never written out.

    The 1 that is appended to each modality keeps lower orders: single modalities and pairs.
    """

    name = "low_rank_tensor"
    stage = "bilinear"
    summary = "factorised outer product of all modalities, each with 1 appended"
    reference = "Liu et al. 2018, Efficient Low-rank Multimodal Fusion (LMF), ACL"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of the MLP, and the rank."""
        return {**MLP_SPACE, "rank": Choice((2, 4, 8, 16), 4)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, rank, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width, rank = sorted(features), int(params["width"]), int(params["rank"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # the bias of each layer is the factor's part for the appended 1
                factors = [nn.Linear(features[key].dim, rank * width) for key in keys]
                for factor in factors:
                    nn.init.ones_(factor.bias)
                self.factors = nn.ModuleList(factors)
                self.after = nn.LayerNorm(width)
                self.trunk = mlp(width, params)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                product = torch.stack(
                    [f(tokens[k].mean()) for k, f in zip(keys, self.factors, strict=True)]
                ).prod(0)
                fused = self.trunk(self.after(product.reshape(-1, rank, width).sum(1)))
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
