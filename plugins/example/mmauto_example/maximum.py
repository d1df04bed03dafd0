"""The largest value of each feature over all modalities."""

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


class ExampleMaximum(Fusion):
    """Each modality's mean token is projected to ``width`` features; of each feature the largest
    over the modalities that are present goes on.
    """

    name = "example_maximum"
    stage = "early"
    summary = "projected mean tokens, the largest value of each feature"
    reference = "Goodfellow et al. 2013, Maxout Networks, ICML"
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The width of the projections, and dropout before the heads."""
        return {"width": Int(32, 256, 64, log=True), "dropout": Float(0.0, 0.5, 0.1)}

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
                    nn.Linear(features[key].dim, width) for key in keys
                )
                self.dropout = nn.Dropout(dropout)
                self.heads = heads(width)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pairs = zip(keys, self.projections, strict=True)
                parts = torch.stack([layer(tokens[key].mean()) for key, layer in pairs])
                here = torch.stack([present[key] for key in keys])  # (M, B)
                # with nothing present, the host's learned absent tokens speak for all
                here = here | ~here.any(0)
                fused = parts.masked_fill(~here.unsqueeze(-1), -torch.inf).amax(0)
                return FusionResult(self.heads(self.dropout(fused)), fused=fused)

        return Model()
