"""Early fusion: all tokens with modality embeddings in one Transformer."""

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


class SingleStream(Fusion):
    """A class token and every modality's tokens, marked by learned embeddings, in one Transformer.

    Positions within a modality are left to its encoder; a few mark none.
    """

    name = "single_stream"
    stage = "early"
    summary = "a class token and all tokens with modality embeddings in one Transformer"
    reference = "Kiela et al. 2019, Supervised Multimodal Bitransformers (MMBT), arXiv 1909.02950"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, heads, layers and dropout."""
        return ATTENTION_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, 1 + all T, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                self.kind = nn.Parameter(0.02 * torch.randn(len(keys), width))
                self.first = nn.Parameter(0.02 * torch.randn(1, 1, width))
                self.layers = nn.ModuleList(
                    attention_layer(params) for _ in range(int(params["layers"]))
                )
                self.after = nn.LayerNorm(width)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    Tokens(p(tokens[k].values) + kind, tokens[k].mask)
                    for k, p, kind in zip(keys, self.project, self.kind, strict=True)
                ]
                rows = len(parts[0].mask)
                here = parts[0].mask.new_ones(rows, 1)
                whole = joined([Tokens(self.first.expand(rows, -1, -1), here), *parts])
                values = whole.values
                for layer in self.layers:
                    values = layer(values, values, whole.mask)
                fused = self.after(values[:, 0])
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
