"""Late tokens: one token a modality and a class token in a small Transformer."""

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
from mmauto_fusion.attention import ATTENTION_SPACE, attention_layer, project

if TYPE_CHECKING:
    from torch import Tensor, nn


class LateTransformer(Fusion):
    """Each modality's mean token, a learned class token, self-attention; the class token decides.

    Absent modalities are masked, so that a row is fused from whatever is there.
    """

    name = "late_transformer"
    stage = "late"
    summary = "one token a modality and a class token in a small Transformer, absent ones masked"
    reference = "SimBaMM, arXiv 2512.22991; Vaswani et al. 2017, NeurIPS"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, heads, layers and dropout."""
        return ATTENTION_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, 1 + M, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = project(features, keys, width)
                self.kind = nn.Parameter(0.02 * torch.randn(1 + len(keys), width))
                self.layers = nn.ModuleList(
                    attention_layer(params) for _ in range(int(params["layers"]))
                )
                self.after = nn.LayerNorm(width)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [p(tokens[k].mean()) for k, p in zip(keys, self.project, strict=True)]
                values = torch.stack([torch.zeros_like(parts[0]), *parts], dim=1) + self.kind
                here = [present[key] for key in keys]
                mask = torch.stack([torch.ones_like(here[0]), *here], dim=1)  # (B, 1 + M)
                for layer in self.layers:
                    values = layer(values, values, mask)
                fused = self.after(values[:, 0])
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
