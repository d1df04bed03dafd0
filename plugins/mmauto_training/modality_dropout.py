"""Modality dropout: in training, a sample now and then loses a modality that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    FeatureSpec,
    Float,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class ModalityDropout(Regulariser):
    """Each sample drops each of its modalities with probability ``p``, by a coin of its own.

    A dropped modality looks exactly like an absent one, so training with it prepares the host's
    absent token for prediction. A sample never loses everything: of the modalities that it has, one
    chosen at random is safe.
    """

    name = "modality_dropout"
    relates = True
    summary = "each sample drops modalities at random in training, never all of them"
    reference = "Neverova et al. 2016, ModDrop, IEEE TPAMI"

    def space(self, task: TaskView) -> Space:
        """The probability that a present modality is dropped."""
        return {"p": Float(0.05, 0.5, 0.2, packs=True)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``before``: ``{key: (B, T, D)}`` in and out, of the same shapes."""
        import torch
        from torch import nn

        keys = sorted(features)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.p: Tensor
                self.register_buffer("p", torch.tensor(float(params["p"])))

            def before(
                self, tokens: Mapping[str, Tokens], batch: Batch
            ) -> tuple[Mapping[str, Tokens], Batch]:
                if not self.training:
                    return tokens, batch
                here = torch.stack([batch.present[key] for key in keys])  # (M, B)
                coin = torch.rand(here.shape, device=here.device)
                # the largest coin among those present is safe: it is below p only if all are, and
                # then each of them is the largest with equal chance
                coin = torch.where(here, coin, -1.0)
                drop = here & (coin < self.p) & (coin < coin.max(0).values)
                replaced = {
                    key: tokens[key].without(gone) for key, gone in zip(keys, drop, strict=True)
                }
                left = {key: flag & ~gone for key, flag, gone in zip(keys, here, drop, strict=True)}
                return replaced, dataclasses.replace(batch, present=left)

        return Model()
