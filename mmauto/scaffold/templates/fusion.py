"""A learned weight for each modality: their mean tokens, mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    FeatureSpec,
    Float,
    Fusion,
    FusionResult,
    HeadFactory,
    Int,
    Params,
    Space,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class ScaffoldNameFusion(Fusion):
    """Each modality's mean token is projected to ``width`` features; a softmax of one learned
    number a modality, over those that are present, mixes them.
    """

    name = "scaffold_name"
    stage = "gated"
    summary = "mean tokens mixed by one learned weight a modality"
    reference = "Peters et al. 2018, Deep Contextualized Word Representations, NAACL (scalar mix)"
    gives = frozenset({"fused", "weights"})

    def space(self, task: TaskView) -> Space:
        """The width of the mixture, and dropout; a default each: together the first trial."""
        return {"width": Int(16, 128, 64, log=True), "dropout": Float(0.0, 0.5, 0.1)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> fused (B, width) -> {target: (B, outputs)}``."""
        import torch
        from torch import nn

        # modalities are dict keys: in sorted order their order in the dict changes nothing
        keys = sorted(features)
        width, dropout = int(params["width"]), float(params["dropout"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.projections = nn.ModuleList(
                    nn.Sequential(nn.Linear(features[key].dim, width), nn.GELU()) for key in keys
                )
                self.scores = nn.Parameter(torch.zeros(len(keys)))
                self.dropout = nn.Dropout(dropout)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pairs = zip(keys, self.projections, strict=True)
                parts = torch.stack([layer(tokens[key].mean()) for key, layer in pairs], 1)
                here = torch.stack([present[key] for key in keys], 1)  # (B, M)
                # with nothing present all count alike: the host's absent tokens speak for them
                here = here | ~here.any(1, keepdim=True)
                weights = self.scores.masked_fill(~here, -torch.inf).softmax(1)
                fused = self.dropout((weights.unsqueeze(-1) * parts).sum(1))
                shares = {key: weights[:, place] for place, key in enumerate(keys)}
                return FusionResult(self.heads(fused), fused=fused, weights=shares)

        return Model()
