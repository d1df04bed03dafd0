"""Mixup of hidden features: rows are blended, and so are their labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    FeatureSpec,
    Float,
    Mix,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class ManifoldMixup(Regulariser):
    """``share * row + (1 - share) * partner`` on every modality's tokens, the loss mixed alike.

    One share a batch, drawn from Beta(alpha, alpha). A row and a partner that have other modalities
    stay as they are: half of an absent sample means nothing.
    """

    name = "manifold_mixup"
    summary = "blends the features and the labels of two rows"
    reference = "Verma et al. 2019, Manifold Mixup, ICML; Zhang et al. 2018, mixup, ICLR"

    def space(self, task: TaskView) -> Space:
        """The Beta distribution's parameter: small values rarely mix much."""
        return {"alpha": Float(0.1, 2.0, 0.4, log=True)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``before``: ``{key: (B, T, D)}`` in and out, of the same shapes."""
        import torch
        from torch import nn

        keys, alpha = sorted(features), float(params["alpha"])

        class Model(nn.Module):
            def before(
                self, tokens: Mapping[str, Tokens], batch: Batch
            ) -> tuple[Mapping[str, Tokens], Batch]:
                if not self.training:
                    return tokens, batch
                here = torch.stack([batch.present[key] for key in keys])  # (M, B)
                partner = torch.randperm(here.shape[1], device=here.device)
                # Beta(a, a) from two gammas, drawn on the CPU: alike for every device
                parts = torch._standard_gamma(torch.full((2,), alpha))
                drawn = (parts[0] / parts.sum().clamp(min=1e-12)).to(here.device)
                alike = (here == here[:, partner]).all(0)
                share = torch.where(alike, drawn, 1.0)
                mixed = {key: blended(tokens[key], partner, share) for key in keys}
                return mixed, dataclasses.replace(batch, mix=Mix(partner, share))

        return Model()


def blended(part: Tokens, partner: Tensor, share: Tensor) -> Tokens:
    """Each row's tokens ``(B, T, D)`` with its partner's; padding counts as zero."""
    values = part.values * part.mask.unsqueeze(-1).to(part.values.dtype)
    weight = share.view(-1, 1, 1).to(values.dtype)
    whole = (share == 1.0).unsqueeze(-1)
    mask = part.mask | (part.mask[partner] & ~whole)
    return Tokens(weight * values + (1 - weight) * values[partner], mask, part.losses, part.absent)
