"""Early fusion: modalities as the steps of a GRU."""

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


class MultimodalRnn(Fusion):
    """The modalities' projected means, in the order of their names, are the steps of a GRU.

    An absent modality is a step over which the state stays as it is.
    """

    name = "multimodal_rnn"
    stage = "early"
    summary = "modalities as the steps of a GRU"
    reference = "Mao et al. 2015, Deep Captioning with Multimodal RNNs (m-RNN), ICLR; GRU: Cho 2014"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of the MLP behind the GRU of the same width."""
        return MLP_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> M steps of (B, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                # the GRU's gates written out: a step that keeps the state needs no packed sequence
                self.gates = nn.Linear(2 * width, 2 * width)
                self.fresh = nn.Linear(2 * width, width)
                self.trunk = mlp(width, params)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                state = torch.zeros_like(self.project[0](tokens[keys[0]].mean()))
                for key, layer in zip(keys, self.project, strict=True):
                    step = layer(tokens[key].mean())
                    both = torch.cat([step, state], dim=-1)
                    update, reset = self.gates(both).sigmoid().chunk(2, dim=-1)
                    fresh = self.fresh(torch.cat([step, reset * state], dim=-1)).tanh()
                    here = present[key].unsqueeze(-1).to(update.dtype)
                    state = state + here * update * (fresh - state)
                fused = self.trunk(state)
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
