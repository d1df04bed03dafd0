"""Attention fusion: modalities exchange only through a few bottleneck tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    FeatureSpec,
    Fusion,
    FusionResult,
    HeadFactory,
    Int,
    Params,
    Space,
    TaskView,
    Tokens,
)
from mmauto_fusion.attention import ATTENTION_SPACE, attention_layer, joined, project

if TYPE_CHECKING:
    from torch import Tensor, nn


class Bottleneck(Fusion):
    """Each modality attends to itself and to shared bottleneck tokens, which collect from all.

    In every layer a modality's Transformer reads its own tokens and the bottlenecks; the
    bottlenecks that the modalities' layers give are averaged. So what one modality tells another
    must pass ``bottlenecks`` vectors. The first layer fills them, so there are two at least.
    """

    name = "bottleneck"
    stage = "attention"
    summary = "a Transformer a modality; they exchange only through few bottleneck tokens"
    reference = "Nagrani et al. 2021, Attention Bottlenecks for Multimodal Fusion (MBT), NeurIPS"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, heads, layers, dropout and the number of bottleneck tokens."""
        return {**ATTENTION_SPACE, "layers": Int(2, 4, 2), "bottlenecks": Choice((1, 2, 4, 8), 4)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)}, (B, N, width) -> fused (B, M * width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                self.shared = nn.Parameter(0.02 * torch.randn(1, int(params["bottlenecks"]), width))
                self.levels = int(params["layers"])
                # level by level, within it one a modality
                self.layers = nn.ModuleList(
                    attention_layer(params) for _ in range(self.levels * len(keys))
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
                rows = len(parts[0].mask)
                shared = self.shared.expand(rows, -1, -1)
                here = parts[0].mask.new_ones(rows, shared.shape[1])
                for level in range(self.levels):
                    sent = []
                    for place in range(len(keys)):
                        layer = self.layers[level * len(keys) + place]
                        whole = joined([parts[place], Tokens(shared, here)])
                        found = layer(whole.values, whole.values, whole.mask)
                        own, said = found.split([parts[place].mask.shape[1], shared.shape[1]], 1)
                        parts[place] = Tokens(own, parts[place].mask)
                        sent.append(said)
                    shared = torch.stack(sent).mean(0)
                pooled = [Tokens(self.after(part.values), part.mask).mean() for part in parts]
                fused = torch.cat(pooled, dim=-1)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
