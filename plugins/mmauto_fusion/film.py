"""Conditioning: one modality scales and shifts the others' tokens."""

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
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class Film(Fusion):
    """Feature-wise linear modulation: ``(1 + gamma(c)) * x + beta(c)`` on every other modality.

    The condition ``c`` is the mean token of one modality (by default the last by name, e.g. text
    conditions image); where it is absent in a row nothing is modulated there. The modulated means
    and the condition are concatenated before the MLP.
    """

    name = "film"
    stage = "conditioning"
    summary = "one modality scales and shifts the tokens of the others"
    reference = "Perez et al. 2018, FiLM, AAAI; Wolf et al. 2022, DAFT, NeuroImage"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The MLP's width, depth and dropout, and which modality conditions."""
        keys = tuple(sorted(task.modalities))
        return {**MLP_SPACE, "condition": Choice(keys, keys[-1])}

    def refuses(
        self, features: Mapping[str, FeatureSpec], targets: Mapping[str, TargetSpec]
    ) -> str | None:
        """Needs two modalities."""
        return None if len(features) > 1 else "it conditions one modality on another, one is given"

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: (B, D)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys = sorted(features)
        chosen = str(params["condition"])
        condition = chosen if chosen in keys else keys[-1]
        others = [key for key in keys if key != condition]
        total = sum(features[key].dim for key in keys)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # small weights, zero biases: training starts near no modulation
                layers = [
                    nn.Linear(features[condition].dim, 2 * features[key].dim) for key in others
                ]
                for layer in layers:
                    nn.init.normal_(layer.weight, std=0.02)
                    nn.init.zeros_(layer.bias)
                self.modulate = nn.ModuleList(layers)
                self.trunk = mlp(total, params)
                self.heads = heads(int(params["width"]))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                given = tokens[condition].mean()
                there = present[condition].unsqueeze(-1).to(given.dtype)
                pooled = [given]
                for key, layer in zip(others, self.modulate, strict=True):
                    gamma, beta = (there * layer(given)).chunk(2, dim=-1)
                    values = tokens[key].values * (1 + gamma.unsqueeze(1)) + beta.unsqueeze(1)
                    pooled.append(Tokens(values, tokens[key].mask).mean())
                fused = self.trunk(torch.cat(pooled, dim=-1))
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
