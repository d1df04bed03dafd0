"""Late fusion: every modality decides alone, and learned weights say whose word counts."""

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
from mmauto_fusion.blocks import MLP_SPACE, mlp, owned

if TYPE_CHECKING:
    from torch import Tensor, nn


class LogitWeighted(Fusion):
    """Logits averaged with softmax weights over the modalities that are there.

    ``per`` says what the weights depend on: nothing (``task``: one number a modality), or the
    sample (``sample``: a linear score of each modality's own features).
    """

    name = "logit_weighted"
    stage = "late"
    summary = "an MLP and heads for each modality, logits averaged with learned softmax weights"
    reference = (
        "Kittler et al. 1998, IEEE TPAMI; Jacobs et al. 1991, Adaptive Mixtures ..., Neural Comput."
    )
    default = False
    gives = frozenset({"per_modality"})

    def space(self, task: TaskView) -> Space:
        """The MLPs' width, depth and dropout, and what the weights depend on."""
        return {**MLP_SPACE, "per": Choice(("task", "sample"), "task")}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: (B, width)} -> weights (B, M) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.trunks = nn.ModuleList(mlp(features[key].dim, params) for key in keys)
                self.own_heads = nn.ModuleList(heads(width) for _ in keys)
                self.scores = nn.Parameter(torch.zeros(len(keys)))
                sampled = params["per"] == "sample"
                self.gates = nn.ModuleList(nn.Linear(width, 1) for _ in keys) if sampled else None

            def groups(self) -> dict[str, list[nn.Parameter]]:
                return owned(keys, self.trunks, self.own_heads)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                hidden = [t(tokens[k].mean()) for k, t in zip(keys, self.trunks, strict=True)]
                votes = {
                    key: head(part)
                    for key, head, part in zip(keys, self.own_heads, hidden, strict=True)
                }
                scores = self.scores.expand(len(hidden[0]), -1)  # (B, M)
                if self.gates is not None:
                    pairs = zip(self.gates, hidden, strict=True)
                    scores = scores + torch.cat([gate(part) for gate, part in pairs], dim=-1)
                here = torch.stack([present[key] for key in keys], dim=-1)
                # not -inf: a row where everything is absent must stay finite
                shares = torch.where(here, scores, -1e4).softmax(-1) * here.to(scores.dtype)
                weights = dict(zip(keys, shares.unbind(-1), strict=True))
                outputs = {
                    name: sum(weights[key].unsqueeze(-1) * votes[key][name] for key in keys)
                    for name in heads.targets
                }
                return FusionResult(outputs, per_modality=votes, weights=weights)

        return Model()
