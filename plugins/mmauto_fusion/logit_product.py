"""Late fusion: a product of experts."""

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
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, after, mlp, owned, shares

if TYPE_CHECKING:
    from torch import Tensor, nn


class LogitProduct(Fusion):
    """The renormalised product of the distributions that the present modalities predict.

    For classes that is the sum of log-probabilities, for yes/no targets the sum of log-odds, for
    numbers (a product of Gaussians) the mean weighted by each modality's learned precision. An
    absent modality multiplies nothing; where all are absent the outputs are zero.
    """

    name = "logit_product"
    stage = "late"
    gives = frozenset({"per_modality"})
    summary = "an MLP and heads for each modality, probabilities multiplied (product of experts)"
    reference = "Kittler et al. 1998, IEEE TPAMI; Hinton 2002, Products of Experts, Neural Comput."

    def space(self, task: TaskView) -> Space:
        """Width, depth and dropout of each modality's MLP."""
        return MLP_SPACE

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: outputs} -> outputs``."""
        import torch
        from torch import nn

        keys = sorted(features)
        numbers = [name for name, spec in heads.targets.items() if spec.kind == "regression"]

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.experts = nn.ModuleList(
                    nn.Sequential(
                        mlp(features[key].dim, params, least=0),
                        heads(after(features[key].dim, params)),
                    )
                    for key in keys
                )
                self.log_precision = nn.ParameterList(torch.zeros(len(keys)) for _ in numbers)

            def groups(self) -> dict[str, list[nn.Parameter]]:
                return owned(keys, self.experts)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = {key: tokens[key].mean() for key in keys}
                votes = {k: e(pooled[k]) for k, e in zip(keys, self.experts, strict=True)}
                here = torch.stack([present[key] for key in keys])  # (M, B)
                outputs = {}
                for name, spec in heads.targets.items():
                    opinions = torch.stack([votes[key][name] for key in keys])  # (M, B, width)
                    outputs[name] = self.product(opinions, here, spec)
                return FusionResult(
                    outputs, per_modality=votes, weights=shares(present, pooled[keys[0]])
                )

            def product(self, opinions: Tensor, here: Tensor, spec: TargetSpec) -> Tensor:
                """(M, B, width), (M, B) -> (B, width)."""
                counts = here.unsqueeze(-1).to(opinions.dtype)
                if spec.kind == "multiclass":
                    opinions = opinions.log_softmax(-1)
                elif spec.kind == "regression":
                    counts = counts * self.relative_precision(spec.name, here).unsqueeze(-1)
                return (opinions * counts).sum(0)

            def relative_precision(self, name: str, here: Tensor) -> Tensor:
                """(M, B) -> (M, B), summing to one over the modalities that are there."""
                precision = self.log_precision[numbers.index(name)].unsqueeze(-1)
                # not -inf: a row where everything is absent must stay finite
                return torch.where(here, precision, -1e4).softmax(0)

        return Model()
