"""Late fusion: every modality decides alone, the decisions are added."""

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


class LogitSum(Fusion):
    """The sum of the logits of the modalities that are there.

    Unlike the mean, agreement makes it surer: for classes it is a product of experts up to the
    normalisation. A regression target's opinions are averaged, since adding them means nothing.
    """

    name = "logit_sum"
    stage = "late"
    summary = "an MLP and heads for each modality, logits added over those present"
    reference = "Kittler et al. 1998, On Combining Classifiers, IEEE TPAMI"
    default = False
    gives = frozenset({"per_modality"})

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
                mean = shares(present, pooled[keys[0]])
                outputs = {}
                for name, spec in heads.targets.items():
                    weights = mean if spec.kind == "regression" else present
                    outputs[name] = sum(
                        weights[key].to(pooled[key].dtype).unsqueeze(-1) * votes[key][name]
                        for key in keys
                    )
                return FusionResult(outputs, per_modality=votes, weights=mean)

        return Model()
