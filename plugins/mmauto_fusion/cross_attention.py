"""Attention fusion: each modality's tokens query the tokens of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    FeatureSpec,
    Float,
    Fusion,
    FusionResult,
    HeadFactory,
    Params,
    Space,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class CrossAttention(Fusion):
    """Multi-head attention from each modality to all others, pooled and concatenated.

    Each modality is projected to the shared width; its tokens ``(B, T, width)`` query the others'
    tokens ``(B, S, width)``, followed by a residual, LayerNorm and a small feed-forward layer. The
    mean tokens of all modalities are concatenated for the heads. One modality queries itself.
    """

    name = "cross_attention"
    stage = "attention"
    gives = frozenset({"fused"})
    summary = "each modality's tokens attend to the others', pooled results concatenated"
    reference = "Lu et al. 2019, ViLBERT, NeurIPS; Tsai et al. 2019, MulT, ACL"

    def space(self, task: TaskView) -> Space:
        """Width (a multiple of every number of heads), heads and dropout."""
        return {
            "width": Choice((64, 128, 256), 128),
            "heads": Choice((2, 4, 8), 4),
            "dropout": Float(0.0, 0.5, 0.1),
        }

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> fused (B, modalities * width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])
        count, rate = int(params["heads"]), float(params["dropout"])

        class Layer(nn.Module):
            """One modality's tokens look at the others'."""

            def __init__(self) -> None:
                super().__init__()
                self.query = nn.Linear(width, width)
                self.key_value = nn.Linear(width, 2 * width)
                self.out = nn.Linear(width, width)
                self.after_attention = nn.LayerNorm(width)
                self.feed = nn.Sequential(
                    nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
                )
                self.after_feed = nn.LayerNorm(width)
                self.dropout = nn.Dropout(rate)

            def forward(self, own: Tokens, others: Tokens) -> Tokens:
                """(B, T, width), (B, S, width) -> (B, T, width)."""
                keys_values = self.key_value(others.values).chunk(2, dim=-1)
                query, key, value = (
                    part.unflatten(-1, (count, -1)).transpose(1, 2)  # (B, heads, T, width / heads)
                    for part in (self.query(own.values), *keys_values)
                )
                # written out: torch.vmap falls back to a slow loop in torch's fused attention
                # (B, heads, T, S)
                scores = query @ key.transpose(-2, -1) / math.sqrt(width / count)
                scores = torch.where(others.mask[:, None, None, :], scores, float("-inf"))
                seen = scores.softmax(-1) @ value
                seen = self.out(seen.transpose(1, 2).flatten(-2))
                hidden = self.after_attention(own.values + self.dropout(seen))
                hidden = self.after_feed(hidden + self.dropout(self.feed(hidden)))
                return Tokens(hidden, own.mask)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                self.layers = nn.ModuleList(Layer() for _ in keys)
                self.heads = heads(len(keys) * width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    Tokens(project(tokens[key].values), tokens[key].mask)
                    for key, project in zip(keys, self.project, strict=True)
                ]
                pooled = [
                    layer(part, joined([o for o in parts if o is not part] or parts)).mean()
                    for layer, part in zip(self.layers, parts, strict=True)
                ]
                fused = torch.cat(pooled, dim=-1)
                return FusionResult(self.heads(fused), fused=fused)

        def joined(parts: list[Tokens]) -> Tokens:
            """The tokens of several modalities as one sequence, (B, sum of T, width)."""
            return Tokens(
                torch.cat([part.values for part in parts], dim=1),
                torch.cat([part.mask for part in parts], dim=1),
            )

        return Model()
