"""Generative fusion: a product-of-experts latent that tolerates absent modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
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


class PoeVae(Fusion):
    """Each present modality gives a Gaussian over one latent; their product, with a standard normal
    prior as one more expert, is what the heads and the decoders read.

    Losses: KL to the prior and the reconstruction of every present modality's mean features (which
    are detached: a decoder must not pull the encoder towards what is easy to give back). In
    training the latent is drawn, in evaluation its mean is used.
    """

    name = "poe_vae"
    stage = "generative"
    summary = "product-of-experts latent with reconstruction; tolerates absence"
    reference = "Wu and Goodman 2018, Multimodal Generative Models (MVAE), NeurIPS"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Encoders' width, depth and dropout, the latent's size, weights of KL and decoding."""
        return {
            **MLP_SPACE,
            "latent": Choice((16, 32, 64), 32),
            "divergence": Float(0.0001, 0.1, 0.001, log=True, packs=True),
            "reconstruction": Float(0.001, 1.0, 0.1, log=True, packs=True),
        }

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> latent (B, latent) -> outputs``."""
        import torch
        from torch import nn

        keys, width, latent = sorted(features), int(params["width"]), int(params["latent"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.encode = nn.ModuleList(
                    nn.Sequential(mlp(features[key].dim, params), nn.Linear(width, 2 * latent))
                    for key in keys
                )
                self.decode = nn.ModuleList(
                    nn.Sequential(
                        nn.Linear(latent, width), nn.GELU(), nn.Linear(width, features[key].dim)
                    )
                    for key in keys
                )
                self.trunk = mlp(latent, params)
                self.heads = heads(width)
                self.divergence: Tensor
                self.reconstruction: Tensor
                for name in ("divergence", "reconstruction"):
                    self.register_buffer(name, torch.tensor(float(params[name])))

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                pooled = [tokens[key].mean() for key in keys]
                precision = torch.ones_like(pooled[0][:, :1])  # the prior's
                weighted = torch.zeros_like(precision)
                for key, part, layer in zip(keys, pooled, self.encode, strict=True):
                    centre, spread = layer(part).chunk(2, dim=-1)
                    here = present[key].unsqueeze(-1).to(part.dtype)
                    each = here * (-spread.clamp(-6, 6)).exp()
                    precision, weighted = precision + each, weighted + each * centre
                variance = 1 / precision
                mean = weighted * variance
                drawn = mean
                if self.training:
                    drawn = mean + variance.sqrt() * torch.randn_like(mean)
                fused = self.trunk(drawn)
                losses = self.terms(pooled, present, mean, variance, drawn)
                return FusionResult(
                    self.heads(fused), fused=fused, losses=losses, aux={"latent": mean}
                )

            def terms(
                self, pooled: list[Tensor], present: dict[str, Tensor], mean: Tensor,
                variance: Tensor, drawn: Tensor,
            ) -> dict[str, Tensor]:  # fmt: skip
                """KL to the prior, and the squared error of every modality that is there."""
                divergence = 0.5 * (mean.square() + variance - variance.log() - 1).sum(-1).mean()
                errors = pooled[0].new_zeros(())
                for key, part, layer in zip(keys, pooled, self.decode, strict=True):
                    error = (layer(drawn) - part.detach()).square().mean(-1)
                    errors = errors + (error * present[key].to(error.dtype)).mean()
                return {
                    "divergence": self.divergence * divergence,
                    "reconstruction": self.reconstruction * errors,
                }

        return Model()
