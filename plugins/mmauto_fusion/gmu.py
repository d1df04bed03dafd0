"""Gated fusion: a sigmoid gate a modality says how much of it to let through."""

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


class Gmu(Fusion):
    """Gated multimodal unit: ``sum_m z_m * tanh(W_m x_m)``, ``z`` a gate that sees all modalities.

    A free sigmoid a modality, as the paper has it for more than two (there two share ``z`` and
    ``1 - z``). The mean gate over features tells how much a modality counts. MLP before the heads.
    """

    name = "gmu"
    stage = "gated"
    summary = "a sigmoid gate a modality mixes tanh-projected modalities"
    reference = "Arevalo et al. 2017, Gated Multimodal Units, ICLR workshop"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width of the units, depth and dropout of the MLP."""
        return MLP_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: (B, width)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])
        total = sum(features[key].dim for key in keys)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.units = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                self.gates = nn.ModuleList(nn.Linear(total, width) for _ in keys)
                self.trunk = mlp(width, params)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = [tokens[key].mean() for key in keys]
                context = torch.cat(pooled, dim=-1)
                opened = [
                    gate(context).sigmoid() * present[key].unsqueeze(-1).to(context.dtype)
                    for key, gate in zip(keys, self.gates, strict=True)
                ]
                parts = [
                    gate * unit(part).tanh()
                    for gate, unit, part in zip(opened, self.units, pooled, strict=True)
                ]
                fused = self.trunk(torch.stack(parts).sum(0))
                weights = {key: gate.mean(-1) for key, gate in zip(keys, opened, strict=True)}
                return FusionResult(self.heads(fused), fused=fused, weights=weights)

        return Model()
