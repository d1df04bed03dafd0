"""Bilinear pooling: factorised products, summed in groups, with power and L2 norm."""

from __future__ import annotations

import itertools
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


class Mfb(Fusion):
    """Multimodal factorised bilinear pooling over pairs of modalities.

    Each pair is expanded to ``factors * width`` numbers, multiplied, dropped out, sum-pooled over
    the factors, then signed square root and L2 norm; the pairs are concatenated. One modality is
    paired with itself.
    """

    name = "mfb"
    stage = "bilinear"
    summary = "factorised bilinear pooling of pairs, with power and L2 normalisation"
    reference = "Yu et al. 2017, Multi-modal Factorized Bilinear Pooling, ICCV"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout, and the number of factors."""
        return {**MLP_SPACE, "factors": Choice((2, 4, 5, 8), 4)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> pairs x (B, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width, factors = sorted(features), int(params["width"]), int(params["factors"])
        pairs = list(itertools.combinations(keys, 2)) or [(keys[0], keys[0])]

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                wide = factors * width
                self.left = nn.ModuleList(nn.Linear(features[a].dim, wide) for a, _ in pairs)
                self.right = nn.ModuleList(nn.Linear(features[b].dim, wide) for _, b in pairs)
                self.dropout = nn.Dropout(float(params["dropout"]))
                self.trunk = mlp(len(pairs) * width, params)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = {key: tokens[key].mean() for key in keys}
                found = []
                for (one, two), left, right in zip(pairs, self.left, self.right, strict=True):
                    product = self.dropout(left(pooled[one]) * right(pooled[two]))
                    summed = product.unflatten(-1, (width, factors)).sum(-1)
                    # the root of 0 has no gradient
                    rooted = summed.sign() * (summed.abs() + 1e-8).sqrt()
                    # unit length would make each number tiny: scaled back to unit variance
                    found.append(nn.functional.normalize(rooted, dim=-1) * width**0.5)
                fused = self.trunk(torch.cat(found, dim=-1))
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
