"""Token noise: in training, every token is moved a little at random."""

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


class ScaffoldNameRegulariser(Regulariser):
    """Gaussian noise on the tokens that fusions read; absent samples stay as they are.

    It changes tokens before the fusion (``before``). A module may also add a term to the loss
    (``loss``), change gradients (``after_backward``) or look at each epoch's losses (``epoch``).
    """

    name = "scaffold_name"
    summary = "Gaussian noise on all tokens in training"
    reference = "Bishop 1995, Training with Noise is Equivalent to Tikhonov Regularization"

    def space(self, task: TaskView) -> Space:
        """The noise's standard deviation; ``packs``: it stands in a buffer, see ``build``."""
        return {"sigma": Float(0.01, 0.5, 0.1, log=True, packs=True)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``before``: tokens ``{key: (B, T, D)}`` in and out, of the same shapes."""
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.sigma: Tensor
                self.register_buffer("sigma", torch.tensor(float(params["sigma"])))

            def before(
                self, tokens: Mapping[str, Tokens], batch: Batch
            ) -> tuple[Mapping[str, Tokens], Batch]:
                if not self.training:
                    return tokens, batch
                return {key: self.noisy(tokens[key], batch.present[key]) for key in tokens}, batch

            def noisy(self, part: Tokens, present: Tensor) -> Tokens:
                noise = self.sigma * torch.randn_like(part.values)
                values = part.values + noise * present[:, None, None]
                # inputs are not changed: a new value with one field replaced
                return dataclasses.replace(part, values=values)

        return Model()
