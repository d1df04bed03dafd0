"""Hypernetwork: one modality generates the weights that transform another."""

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
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class Multiplicative(Fusion):
    """``f(z, x) = W(z) x + V z + b`` with ``W(z)`` of rank ``rank``: multiplicative interactions.

    ``z`` is one modality's mean token, ``x`` another's; every ordered neighbour pair takes part, so
    that each modality both generates and is transformed. One modality is paired with itself.
    """

    name = "multiplicative"
    stage = "hypernetwork"
    summary = "one modality generates (low-rank) weights that transform another"
    reference = "Jayakumar et al. 2020, Multiplicative Interactions and Where to Find Them, ICLR"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of the MLP, and the rank of the generated weights."""
        return {**MLP_SPACE, "rank": Choice((2, 4, 8, 16), 4)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> pairs x (B, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width, rank = sorted(features), int(params["width"]), int(params["rank"])
        pairs = list(zip(keys, [*keys[1:], keys[0]], strict=True))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.down = nn.ModuleList(nn.Linear(features[x].dim, width) for _, x in pairs)
                self.left = nn.ModuleList(
                    nn.Linear(features[z].dim, rank * width) for z, _ in pairs
                )
                self.right = nn.ModuleList(
                    nn.Linear(features[z].dim, rank * width) for z, _ in pairs
                )
                self.direct = nn.ModuleList(nn.Linear(features[z].dim, width) for z, _ in pairs)
                self.trunk = mlp(len(pairs) * width, params)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = {key: tokens[key].mean() for key in keys}
                found = []
                layers = zip(pairs, self.down, self.left, self.right, self.direct, strict=True)
                for (giver, taker), down, left, right, direct in layers:
                    given, taken = pooled[giver], down(pooled[taker])
                    rows = left(given).unflatten(-1, (rank, width)) / width**0.5  # (B, R, width)
                    columns = right(given).unflatten(-1, (rank, width))
                    inner = (rows * taken.unsqueeze(1)).sum(-1, keepdim=True)  # (B, R, 1)
                    found.append((columns * inner).sum(1) + direct(given))
                fused = self.trunk(torch.cat(found, dim=-1))
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
