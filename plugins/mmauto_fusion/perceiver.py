"""Attention fusion: a small latent array reads all tokens."""

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


class Perceiver(Fusion):
    """Learned latents cross-attend to the tokens of all modalities, then to each other.

    The cost grows with tokens times latents, not with tokens squared.
    """

    name = "perceiver"
    stage = "attention"
    summary = "a learned latent array cross-attends to all tokens, then to itself"
    reference = "Jaegle et al. 2021, Perceiver, ICML"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, heads, layers (each reads all tokens anew), dropout, and latents."""
        return {**ATTENTION_SPACE, "latents": Choice((4, 8, 16, 32), 8)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)}, (N, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                self.kind = nn.Parameter(0.02 * torch.randn(len(keys), width))
                self.latents = nn.Parameter(0.02 * torch.randn(1, int(params["latents"]), width))
                levels = range(int(params["layers"]))
                self.reads = nn.ModuleList(attention_layer(params) for _ in levels)
                self.thinks = nn.ModuleList(attention_layer(params) for _ in levels)
                self.after = nn.LayerNorm(width)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                whole = joined(
                    [
                        Tokens(p(tokens[k].values) + kind, tokens[k].mask)
                        for k, p, kind in zip(keys, self.project, self.kind, strict=True)
                    ]
                )
                values = self.latents.expand(len(whole.mask), -1, -1)
                all_of_them = whole.mask.new_ones(values.shape[:2])
                for read, think in zip(self.reads, self.thinks, strict=True):
                    values = read(values, whole.values, whole.mask)
                    values = think(values, values, all_of_them)
                fused = self.after(values).mean(1)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
