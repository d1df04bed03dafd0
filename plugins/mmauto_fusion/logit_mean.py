"""Late fusion: every modality decides alone, the decisions are averaged."""

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
from mmauto_fusion.blocks import MLP_SPACE, mlp, owned, shares

if TYPE_CHECKING:
    from torch import Tensor, nn


class LogitMean(Fusion):
    """The mean of the logits that each present modality's own MLP and heads give.

    An absent modality has no vote. Where all are absent the outputs are zero: equal odds, or a
    regression target's mean.
    """

    name = "logit_mean"
    stage = "late"
    gives = frozenset({"per_modality"})
    summary = "an MLP and heads for each modality, logits averaged over those present"
    reference = "Kittler et al. 1998, On Combining Classifiers, IEEE TPAMI"

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of each modality's MLP."""
        return MLP_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: outputs} -> outputs``."""
        from torch import nn

        keys = sorted(features)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.experts = nn.ModuleList(
                    nn.Sequential(mlp(features[key].dim, params), heads(int(params["width"])))
                    for key in keys
                )

            def groups(self) -> dict[str, list[nn.Parameter]]:
                return owned(keys, self.experts)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = {key: tokens[key].mean() for key in keys}
                votes = {k: e(pooled[k]) for k, e in zip(keys, self.experts, strict=True)}
                weights = shares(present, pooled[keys[0]])
                outputs = {
                    name: sum(weights[key].unsqueeze(-1) * votes[key][name] for key in keys)
                    for name in heads.targets
                }
                return FusionResult(outputs, per_modality=votes, weights=weights)

        return Model()
