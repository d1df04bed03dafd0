"""Attention fusion: scaled dot-product attention over all tokens, pooled."""

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
from mmauto_fusion.attention import ATTENTION_SPACE, attention_layer, joined, project

if TYPE_CHECKING:
    from torch import Tensor, nn


class SelfAttention(Fusion):
    """One Transformer over the tokens of all modalities, each modality's mean pooled at the end.

    The pooled means are concatenated; a modality is told from another only by its projection.
    """

    name = "self_attention"
    stage = "attention"
    summary = "self-attention over the tokens of all modalities, pooled a modality"
    reference = "Vaswani et al. 2017, Attention Is All You Need, NeurIPS"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, heads, layers and dropout."""
        return ATTENTION_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, all T, width) -> fused (B, M * width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                self.layers = nn.ModuleList(
                    attention_layer(params) for _ in range(int(params["layers"]))
                )
                self.after = nn.LayerNorm(width)
                self.heads = heads(len(keys) * width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    Tokens(p(tokens[k].values), tokens[k].mask)
                    for k, p in zip(keys, self.project, strict=True)
                ]
                whole = joined(parts)
                values = whole.values
                for layer in self.layers:
                    values = layer(values, values, whole.mask)
                pieces = self.after(values).split([p.mask.shape[1] for p in parts], dim=1)
                pooled = [
                    Tokens(piece, part.mask).mean()
                    for piece, part in zip(pieces, parts, strict=True)
                ]
                fused = torch.cat(pooled, dim=-1)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
