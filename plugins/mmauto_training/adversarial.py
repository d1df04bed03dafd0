"""A discriminator that must not be able to tell the modality from the feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
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
from mmauto_training.strength import mean_over, same_width, strength, strength_space, total

if TYPE_CHECKING:
    from torch import Tensor, nn


class Adversarial(Regulariser):
    """A discriminator scores the modality that a feature came from; features lower that score.

    The discriminator always learns at full strength, on detached features; what reaches the
    features is its lead of the true modality, times the weight. It is a critic with a penalised
    slope, as in WDGRL: a classifier that is sure would leave the features no gradient to turn
    round.
    """

    name = "adversarial"
    relates = True
    summary = "a discriminator must not be able to tell the modality from the feature"
    reference = "Ganin et al. 2016, DANN, JMLR; Shen et al. 2018, WDGRL, AAAI"

    def space(self, task: TaskView) -> Space:
        """Weight of the term that reaches the features, and its warm-up."""
        return strength_space(0.01, 1.0, 0.1)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        import torch
        from torch import nn
        from torch.func import functional_call

        keys = sorted(features)
        widths = {spec.dim for spec in features.values()}
        dim = widths.pop() if len(widths) == 1 else COMMON

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.vectors, self.strength = same_width(features), strength(params)
                self.discriminator = nn.Sequential(
                    nn.Linear(dim, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, len(keys))
                )

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                if len(keys) < 2:  # nothing to tell apart
                    return total([], self.strength(batch.progress))
                frozen = {n: p.detach() for n, p in self.discriminator.named_parameters()}
                learns, fools = [], []
                for place, vector in enumerate(self.vectors(tokens).values()):
                    here = batch.present[keys[place]].to(vector.dtype)
                    seen = vector.detach().requires_grad_()
                    lead = margin(self.discriminator(seen), place)
                    (slope,) = torch.autograd.grad(lead.sum(), seen, create_graph=True)
                    learns.append(mean_over(0.5 * PENALTY * slope.square().sum(-1) - lead, here))
                    told = margin(functional_call(self.discriminator, frozen, (vector,)), place)
                    fools.append(mean_over(told, here))
                value: Tensor = total(learns, learns[0]) + self.strength(batch.progress, fools)
                return value

        return Model()


HIDDEN = 64
PENALTY = 10.0
"""Of the squared slope: without it critic and features circle round each other."""

COMMON = 64
"""The width to which unequal features are projected, see `same_width`."""


def margin(scores: Tensor, place: int) -> Tensor:
    """``(B, M)`` -> ``(B,)`` score of one modality less the mean of the others."""
    own = scores[:, place]
    return own - (scores.sum(-1) - own) / max(1, scores.shape[-1] - 1)
