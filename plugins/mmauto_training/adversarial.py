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
    """Gradient reversal: a discriminator learns to name the modality, features learn to fool it.

    The discriminator always learns at full strength; what reaches the features is turned round and
    scaled by the weight, which grows over the warm-up.
    """

    name = "adversarial"
    summary = "a discriminator must not tell the modality from the feature (gradient reversal)"
    reference = "Ganin et al. 2016, Domain-Adversarial Training (DANN), JMLR"

    def space(self, task: TaskView) -> Space:
        """Weight of the reversed gradient and its warm-up."""
        return strength_space(0.01, 1.0, 0.1)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        from torch import nn

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
                by = self.strength(batch.progress)
                terms = []
                for place, vector in enumerate(self.vectors(tokens).values()):
                    # the same value, with the gradient times -by
                    turned = vector.detach() * (1 + by) - by * vector
                    guess = self.discriminator(turned).log_softmax(-1)
                    here = batch.present[keys[place]].to(guess.dtype)
                    terms.append(mean_over(-guess[:, place], here))
                return total(terms, by)

        return Model()


HIDDEN = 64
COMMON = 64
"""The width to which unequal features are projected, see `same_width`."""
