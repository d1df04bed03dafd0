"""Attention fusion: each modality's tokens query the others'."""

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
from mmauto_fusion.attention import ATTENTION_SPACE, attention_layer, joined, project

if TYPE_CHECKING:
    from torch import Tensor, nn


class CrossAttention(Fusion):
    """Tokens of each modality attend to those of all others, pooled and concatenated.

    Each modality is projected to the shared width; its tokens ``(B, T, width)`` query the others'
    tokens ``(B, S, width)`` in Transformer layers of its own. The mean tokens of all modalities are
    concatenated for the heads. One modality queries itself.
    """

    name = "cross_attention"
    stage = "attention"
    gives = frozenset({"fused"})
    summary = "each modality's tokens attend to the others', pooled results concatenated"
    reference = "Lu et al. 2019, ViLBERT, NeurIPS; Tsai et al. 2019, MulT, ACL"

    def space(self, task: TaskView) -> Space:
        """Width, heads and dropout; a study file may ask for more than one of the ``layers``."""
        return {**ATTENTION_SPACE, "layers": Choice((1,))}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> fused (B, modalities * width) -> outputs``."""
        import torch
        from torch import nn

        keys, width, depth = sorted(features), int(params["width"]), int(params["layers"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                # level by level, within it one a modality
                self.layers = nn.ModuleList(
                    attention_layer(params) for _ in range(depth * len(keys))
                )
                self.after = nn.LayerNorm(width)
                self.heads = heads(len(keys) * width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    Tokens(project(tokens[key].values), tokens[key].mask)
                    for key, project in zip(keys, self.project, strict=True)
                ]
                for level in range(depth):
                    layers = self.layers[level * len(keys) : (level + 1) * len(keys)]
                    contexts = [
                        joined([o for o in parts if o is not part] or parts) for part in parts
                    ]
                    parts = [
                        Tokens(layer(part.values, other.values, other.mask), part.mask)
                        for layer, part, other in zip(layers, parts, contexts, strict=True)
                    ]
                pooled = [Tokens(self.after(part.values), part.mask).mean() for part in parts]
                fused = torch.cat(pooled, dim=-1)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
