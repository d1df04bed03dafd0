"""Attention fusion: one additive (Bahdanau) attention over the tokens of all modalities."""

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
from mmauto_fusion.blocks import MLP_SPACE, after, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class AdditiveAttention(Fusion):
    """Score ``v . tanh(W [context, token] + b)``, softmax over all tokens, weighted sum, MLP.

    As in Bahdanau's translator the score sees a query beside the token: here the context, which is
    the concatenation of the modalities' mean tokens, so that one modality can direct attention
    within another. Each modality is first projected to the shared width by a layer of its own.
    The weighted sum is linear in the tokens, hence the MLP before the heads. With
    ``join = "concat"`` each modality's weighted sum stands apart, as in published pipelines.
    """

    name = "additive_attention"
    stage = "attention"
    gives = frozenset({"fused"})
    summary = "additive attention over the tokens of all modalities, weighted sum through an MLP"
    reference = "Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning ..., ICLR"

    def space(self, task: TaskView) -> Space:
        """Width of projection, scores and MLP; depth, dropout; how weighted modalities join."""
        return {**MLP_SPACE, "join": Choice(("sum", "concat"))}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])
        joined = str(params.get("join", "sum"))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                # W [context, token] + b, as two blocks of W: the context's is computed once a row
                self.from_context = nn.Linear(len(keys) * width, width)
                self.from_token = nn.Linear(width, width, bias=False)
                # the softmax does not see a constant: no bias
                self.score = nn.Linear(width, 1, bias=False)
                whole = width if joined == "sum" else len(keys) * width
                self.trunk = mlp(whole, params, least=0)
                self.heads = heads(after(whole, params))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                parts = [
                    Tokens(project(tokens[key].values), tokens[key].mask)
                    for key, project in zip(keys, self.project, strict=True)
                ]
                values = torch.cat([part.values for part in parts], dim=1)  # (B, all T, width)
                mask = torch.cat([part.mask for part in parts], dim=1)  # (B, all T)
                context = torch.cat([part.mean() for part in parts], dim=-1)  # (B, M * width)
                hidden = self.from_context(context).unsqueeze(1) + self.from_token(values)
                scores = self.score(hidden.tanh()).squeeze(-1)
                weights = torch.where(mask, scores, float("-inf")).softmax(-1)  # (B, all T)
                lengths = [part.mask.shape[1] for part in parts]
                weighted = torch.split(weights.unsqueeze(-1) * values, lengths, dim=1)
                sums = [part.sum(1) for part in weighted]  # (B, width) a modality
                pooled = torch.cat(sums, dim=-1) if joined == "concat" else torch.stack(sums).sum(0)
                fused = self.trunk(pooled)
                split = torch.split(weights, lengths, dim=1)
                attention = dict(zip(keys, split, strict=True))
                return FusionResult(
                    self.heads(fused),
                    fused=fused,
                    weights={key: part.sum(-1) for key, part in attention.items()},
                    attention=attention,
                )

        return Model()
