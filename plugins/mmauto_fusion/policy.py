"""Reinforcement: a policy picks which modalities to use for each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
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
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class Policy(Fusion):
    """A cheap policy looks at every modality and decides which ones the classifier may read.

    In training each decision is drawn, and the policy learns by REINFORCE on
    ``reward = -loss - cost * modalities used``, with the batch's mean reward as baseline; the
    classifier learns from the task's loss. In evaluation a modality is used where its probability
    passes one half; the likeliest one always, so that no row is left with nothing. What is not used
    looks as if it were absent.
    """

    name = "policy"
    stage = "reinforcement"
    summary = "a policy picks which modalities to use per sample (REINFORCE, with a cost each)"
    reference = "Williams 1992, Machine Learning; Panda et al. 2021, AdaMML, ICCV"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The MLPs' width, depth and dropout, and the cost of using a modality."""
        return {**MLP_SPACE, "cost": Float(0.001, 0.1, 0.02, log=True, packs=True)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> use (B, M) -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.looks = nn.ModuleList(nn.Linear(features[key].dim, SMALL) for key in keys)
                self.decide = nn.Linear(len(keys) * SMALL, len(keys))
                # training starts by using nearly everything: what is never read cannot be judged
                nn.init.constant_(self.decide.bias, 1.5)
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                self.trunk = mlp(len(keys) * (width + 1), params)
                self.heads = heads(width)
                self.cost: Tensor
                self.register_buffer("cost", torch.tensor(float(params["cost"])))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = [tokens[key].mean() for key in keys]
                here = torch.stack([present[key] for key in keys], dim=-1)
                glance = [
                    look(part.detach()) for look, part in zip(self.looks, pooled, strict=True)
                ]
                scores = self.decide(torch.cat(glance, dim=-1).tanh())  # (B, M)
                chances = torch.where(here, scores, -20.0).sigmoid()
                drawn = torch.rand_like(chances) < chances if self.training else chances > 0.5
                likeliest = nn.functional.one_hot(chances.argmax(-1), len(keys)).bool()
                use = (drawn | likeliest) & here
                flags = use.to(scores.dtype)
                parts = [
                    layer(part) * flags[:, place : place + 1]
                    for place, (layer, part) in enumerate(zip(self.project, pooled, strict=True))
                ]
                fused = self.trunk(torch.cat([*parts, flags], dim=-1))
                return FusionResult(
                    self.heads(fused), fused=fused,
                    weights=dict(zip(keys, flags.unbind(-1), strict=True)),
                    aux={"chances": chances, "drawn": drawn, "here": here},
                )  # fmt: skip

            def objective(
                self,
                result: FusionResult,
                batch: Batch,
                task_loss: Callable[[Mapping[str, Tensor]], Tensor],
            ) -> Tensor:
                """The task's loss, and the policy's from its reward."""
                loss = task_loss(result.outputs)
                assert result.weights is not None
                used = torch.stack([result.weights[key] for key in keys], dim=-1).sum(-1)
                reward = -loss.detach() - self.cost * used
                advantage = reward - reward.mean()
                chances = result.aux["chances"].clamp(1e-6, 1 - 1e-6)
                drawn = result.aux["drawn"].to(chances.dtype)
                likelihood = drawn * chances.log() + (1 - drawn) * (1 - chances).log()
                likelihood = likelihood * result.aux["here"].to(chances.dtype)
                total: Tensor = loss.mean() - (advantage * likelihood.sum(-1)).mean()
                return total

        return Model()


SMALL = 16
"""Width of the policy's own look at a modality: it must cost less than the modality."""
