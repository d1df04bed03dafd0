"""Multi-task fusion: what the modalities share and what is private to each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
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


class SharedPrivate(Fusion):
    """Each modality in a shared and a private subspace, with three terms that keep them so.

    Similarity: the shared parts of two modalities have the same central moments (CMD, order 5);
    difference: shared and private parts are orthogonal over the batch; reconstruction: both
    together give the modality's features back. All parts are concatenated before the MLP.
    """

    name = "shared_private"
    stage = "multitask"
    summary = "shared and private subspaces with similarity, difference and reconstruction terms"
    reference = "Hazarika et al. 2020, MISA, ACM Multimedia; CMD: Zellinger et al. 2017, ICLR"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """The MLP's width, depth and dropout, and the weights of the three terms."""
        return {
            **MLP_SPACE,
            "similarity": Float(0.01, 1.0, 0.1, log=True, packs=True),
            "difference": Float(0.01, 1.0, 0.1, log=True, packs=True),
            "reconstruction": Float(0.01, 1.0, 0.1, log=True, packs=True),
        }

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: 2 x (B, width)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(
                    nn.Sequential(nn.Linear(features[key].dim, width), nn.LayerNorm(width))
                    for key in keys
                )
                self.shared = nn.Sequential(nn.Linear(width, width), nn.Sigmoid())
                self.private = nn.ModuleList(
                    nn.Sequential(nn.Linear(width, width), nn.Sigmoid()) for _ in keys
                )
                self.back = nn.ModuleList(nn.Linear(width, width) for _ in keys)
                self.trunk = mlp(2 * len(keys) * width, params)
                self.heads = heads(width)
                self.similarity: Tensor
                self.difference: Tensor
                self.reconstruction: Tensor
                for name in ("similarity", "difference", "reconstruction"):
                    self.register_buffer(name, torch.tensor(float(params[name])))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                whole = [p(tokens[k].mean()) for k, p in zip(keys, self.project, strict=True)]
                shared = [self.shared(part) for part in whole]
                private = [own(part) for own, part in zip(self.private, whole, strict=True)]
                fused = self.trunk(torch.cat([*shared, *private], dim=-1))
                losses = self.terms(whole, shared, private, present) if self.training else {}
                return FusionResult(
                    self.heads(fused), fused=fused, losses=losses, aux={"shared": shared}
                )

            def terms(
                self,
                whole: list[Tensor],
                shared: list[Tensor],
                private: list[Tensor],
                present: Mapping[str, Tensor],
            ) -> dict[str, Tensor]:
                """The three losses, means over modalities or pairs, where samples are there."""
                here = [present[key].to(whole[0].dtype).unsqueeze(-1) for key in keys]  # (B, 1)
                pairs = list(itertools.combinations(range(len(keys)), 2))
                alike = [moment_distance(shared[a], shared[b], here[a], here[b]) for a, b in pairs]
                apart = [overlap(s, p, w) for s, p, w in zip(shared, private, here, strict=True)]
                apart += [overlap(private[a], private[b], here[a] * here[b]) for a, b in pairs]
                parts = zip(self.back, shared, private, whole, here, strict=True)
                given = [
                    mean((back(s + p) - part.detach()).square(), w).mean()
                    for back, s, p, part, w in parts
                ]
                zero = whole[0].new_zeros(())
                return {
                    "similarity": self.similarity * (sum(alike, zero) / max(1, len(alike))),
                    "difference": self.difference * (sum(apart, zero) / len(apart)),
                    "reconstruction": self.reconstruction * (sum(given, zero) / len(given)),
                }

        return Model()


MOMENTS = 5


def mean(values: Tensor, here: Tensor) -> Tensor:
    """``(B, D), (B, 1) -> (D,)``, zero where nothing is there."""
    return (values * here).sum(0) / here.sum().clamp(min=1.0)


def moment_distance(one: Tensor, two: Tensor, here1: Tensor, here2: Tensor) -> Tensor:
    """Central moment discrepancy of two samples ``(B, D)`` in [0, 1] with weights ``(B, 1)``.

    Zero where one of them has fewer than two rows.
    """
    sides = [(x, w, mean(x, w)) for x, w in ((one, here1), (two, here2))]
    total = _length(sides[0][2] - sides[1][2])
    for order in range(2, MOMENTS + 1):
        central = [mean((x - middle).pow(order), w) for x, w, middle in sides]
        total = total + _length(central[0] - central[1])
    enough = here1.sum().minimum(here2.sum()) >= 2
    return total * enough.to(total.dtype)


def _length(vector: Tensor) -> Tensor:
    # the length of a zero vector has no gradient
    return (vector.square().sum() + 1e-12).sqrt()


def overlap(one: Tensor, two: Tensor, here: Tensor) -> Tensor:
    """Squared correlations between two sets of features, centred and scaled a row."""
    from torch.nn import functional as F

    left = F.normalize(one - mean(one, here), dim=-1) * here
    right = F.normalize(two - mean(two, here), dim=-1) * here
    rows = here.sum().clamp(min=1.0)
    return (left.transpose(0, 1) @ right / rows).square().mean() * one.shape[-1]
