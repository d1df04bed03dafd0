"""Mutual information of two modalities' features, estimated by a critic and maximised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    Choice,
    FeatureSpec,
    Forward,
    FusionResult,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_training.strength import Pair, pairs, same_width, strength, strength_space

if TYPE_CHECKING:
    from torch import Tensor, nn


class MutualInformation(Regulariser):
    """A lower bound of the mutual information of a row's features, which training raises.

    The critic scores every pair of samples in the batch by the product of two small networks'
    outputs (a separable critic, Poole et al. 2019). ``mine`` is the Donsker-Varadhan bound,
    ``infonce`` the contrastive one (lower, but with less variance). Scores are kept within +-10,
    without which the first bound can run away.
    """

    name = "mutual_information"
    relates = True
    summary = "maximises a lower bound of the mutual information of the modalities (MINE, InfoNCE)"
    reference = "Belghazi et al. 2018, MINE, ICML; van den Oord et al. 2018, InfoNCE"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up and the bound."""
        return {**strength_space(0.01, 1.0, 0.1), "bound": Choice(("mine", "infonce"))}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``; ``bounds(tokens, batch)`` gives each pair's bound in nats."""
        from torch import nn

        keys = sorted(features)
        widths = {spec.dim for spec in features.values()}
        dim = widths.pop() if len(widths) == 1 else COMMON

        def network() -> nn.Module:
            return nn.Sequential(nn.Linear(dim, CRITIC), nn.GELU(), nn.Linear(CRITIC, CRITIC))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.vectors, self.strength = same_width(features), strength(params)
                count = len(keys) * (len(keys) - 1) // 2
                self.left = nn.ModuleList(network() for _ in range(count))
                self.right = nn.ModuleList(network() for _ in range(count))

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                bounds = self.bounds(tokens, batch)
                value: Tensor = -self.strength(batch.progress, bounds)
                return value

            def bounds(self, tokens: Mapping[str, Tokens], batch: Batch) -> list[Tensor]:
                found = pairs(self.vectors(tokens), batch)
                return [self.bound(place, pair) for place, pair in enumerate(found)]

            def bound(self, place: int, pair: Pair) -> Tensor:
                scores = self.left[place](pair.one) @ self.right[place](pair.two).T  # (B, B)
                scores = scores / math.sqrt(CRITIC)
                return lower_bound(10 * (scores / 10).tanh(), pair.both, str(params["bound"]))

        return Model()


CRITIC = 64
COMMON = 64
"""The width to which unequal features are projected, see `same_width`."""


def lower_bound(scores: Tensor, both: Tensor, bound: str) -> Tensor:
    """``(B, B)`` scores of all pairs, ``(B,)`` rows that count -> nats; zero below two rows."""
    import torch

    rows = both.sum()
    out = torch.where(both.bool(), 0.0, -1e4)
    own = (scores.diagonal() * both).sum() / rows.clamp(min=1.0)
    if bound == "infonce":
        each = (scores + out).logsumexp(-1)
        value = own - (each * both).sum() / rows.clamp(min=1.0) + rows.clamp(min=1.0).log()
    else:
        other = out.unsqueeze(0) + out.unsqueeze(1)
        other = other - 1e4 * torch.eye(len(scores), device=scores.device)
        pairs_left = (rows * (rows - 1)).clamp(min=1.0)
        value = own - ((scores + other).flatten().logsumexp(-1) - pairs_left.log())
    return torch.where(rows >= 2, value, 0.0 * own)
