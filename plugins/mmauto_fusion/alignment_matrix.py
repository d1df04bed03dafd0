"""Early fusion: one modality's features mapped linearly into another's space."""

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
from mmauto_fusion.blocks import MLP_SPACE, mlp

if TYPE_CHECKING:
    from torch import Tensor, nn


class AlignmentMatrix(Fusion):
    """``f(X A^T, Y)``: features of every other modality times a learned matrix into the anchor's.

    The anchor is the last modality by name (text beside image). The mapped features and the
    anchor's (with ``product`` their elementwise product too) go through an MLP. ``collinearity``
    adds the mean of one minus the squared cosine between mapped and anchor features, over rows
    where both are there.
    """

    name = "alignment_matrix"
    stage = "early"
    summary = "features times a learned matrix into another modality's space, then fused"
    reference = "Mikolov et al. 2013, Exploiting Similarities among Languages, arXiv 1309.4168"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The MLP's sizes, whether it sees the product too, and the collinearity penalty."""
        return {
            **MLP_SPACE,
            "product": Choice((True, False)),
            "collinearity": Choice((0.0, 0.01, 0.1), 0.0),
        }

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, anchor D) each -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, weight = sorted(features), float(params["collinearity"])
        anchor, others = keys[-1], keys[:-1]
        dim, product = features[anchor].dim, bool(params.get("product", True))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.maps = nn.ModuleList(
                    nn.Linear(features[key].dim, dim, bias=False) for key in others
                )
                self.trunk = mlp(dim * (1 + (1 + product) * len(others)), params)
                self.heads = heads(int(params["width"]))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                goal = tokens[anchor].mean()
                parts, losses = [goal], {}
                for key, matrix in zip(others, self.maps, strict=True):
                    mapped = matrix(tokens[key].mean())
                    parts += [mapped, mapped * goal] if product else [mapped]
                    if weight:
                        both = (present[key] & present[anchor]).to(goal.dtype)
                        cosine = nn.functional.cosine_similarity(mapped, goal, dim=-1)
                        apart = ((1 - cosine**2) * both).sum() / both.sum().clamp(min=1.0)
                        losses[f"collinearity_{key}"] = weight * apart
                fused = self.trunk(torch.cat(parts, dim=-1))
                return FusionResult(self.heads(fused), fused=fused, losses=losses)

        return Model()
