"""Routed fusion: experts chosen by which modalities are there."""

from __future__ import annotations

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
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class ExpertMixture(Fusion):
    """A router picks two experts a row by the features and by which modalities are present.

    Experts read all modalities' projected means. The router's scores begin with a learned row for
    each combination of present modalities, so that a combination has experts of its own.
    ``balance`` weighs the squared coefficient of variation of the experts' load over the batch.
    """

    name = "expert_mixture"
    stage = "routed"
    summary = "a router picks experts by which modalities are present"
    reference = "Yun et al. 2024, Flex-MoE, NeurIPS; Shazeer et al. 2017, ICLR"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The experts' width, depth and dropout, their number, and the weight of the balance."""
        return {
            **MLP_SPACE, "experts": Choice((2, 4, 8), 4),
            "balance": Float(0.001, 0.1, 0.01, log=True, packs=True),
        }  # fmt: skip

    def refuses(
        self, features: Mapping[str, FeatureSpec], targets: Mapping[str, TargetSpec]
    ) -> str | None:
        """Every combination of modalities has a row of its own: at most 1,024."""
        if len(features) <= MOST:
            return None
        return f"it routes combinations of at most {MOST} modalities, {len(features)} are given"

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> experts x (B, width) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width, count = sorted(features), int(params["width"]), int(params["experts"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                self.experts = nn.ModuleList(mlp(len(keys) * width, params) for _ in range(count))
                self.router = nn.Linear(len(keys) * width, count)
                self.combinations = nn.Embedding(2 ** len(keys), count)
                # a combination that training never shows leaves the choice to the router
                nn.init.zeros_(self.combinations.weight)
                self.heads = heads(width)
                self.balance: Tensor
                self.register_buffer("balance", torch.tensor(float(params["balance"])))
                self.places: Tensor
                self.register_buffer("places", 2 ** torch.arange(len(keys)))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    layer(tokens[key].mean()).where(present[key].unsqueeze(-1), 0.0)
                    for key, layer in zip(keys, self.project, strict=True)
                ]
                whole = torch.cat(parts, dim=-1)
                here = torch.stack([present[key] for key in keys], dim=-1).long()
                scores = self.router(whole) + self.combinations((here * self.places).sum(-1))
                least = scores.topk(PICKED, dim=-1).values[:, -1:]
                gates = scores.where(scores >= least, float("-inf")).softmax(-1)  # (B, experts)
                opinions = torch.stack([expert(whole) for expert in self.experts], dim=1)
                fused = (gates.unsqueeze(-1) * opinions).sum(1)
                load = gates.mean(0)
                uneven = load.var(unbiased=False) / load.mean().square()
                return FusionResult(
                    self.heads(fused), fused=fused, losses={"balance": self.balance * uneven},
                    aux={"gates": gates},
                )  # fmt: skip

        return Model()


MOST = 10
PICKED = 2
