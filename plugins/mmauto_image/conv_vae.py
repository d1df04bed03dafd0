"""A convolutional variational autoencoder, trained together with the fusion."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
    Encoder,
    FeatureSpec,
    Float,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_image.pixels import pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

SIZE = 64
LEVELS = 4
SIDE = SIZE // 2**LEVELS


class ConvVae(Encoder):
    """The token is a picture's place in a latent space from which the picture is drawn again.

    In training the token is a sample, and two losses join the task's: the mean squared error of
    the pixels (0 to 1), and ``beta`` times the divergence from a standard normal, both in sums over
    the picture divided by its number of pixel values.
    """

    name = "conv_vae"
    modality = "image"
    summary = "variational autoencoder on 64 x 64 pixels, trained with the fusion"
    reference = "Kingma and Welling 2014, ICLR; beta: Higgins et al. 2017, beta-VAE, ICLR"
    default = False

    def space(self, task: TaskView) -> Space:
        """Latent numbers, weight of the divergence, and channels of the first convolution."""
        return {
            "latent": Choice((32, 64, 128)),
            "beta": Float(0.1, 10.0, 1.0, log=True, packs=True),
            "width": Choice((16, 32)),
        }

    def fit(self, train: Column, params: Params) -> State:
        """Nothing is learned before training."""
        return {}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 64, 64) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of ``latent`` numbers."""
        return FeatureSpec(1, int(params["latent"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 64, 64) -> tokens (B, 1, latent), with two losses in training."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width, latent = int(params["width"]), int(params["latent"])
        channels = [width * 2**level for level in range(LEVELS)]

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                flat = channels[-1] * SIDE**2
                self.encoder = nn.Sequential(
                    *_down([3, *channels]), nn.Flatten(), nn.Linear(flat, 2 * latent)
                )
                self.decoder = nn.Sequential(
                    nn.Linear(latent, flat),
                    nn.Unflatten(1, (channels[-1], SIDE, SIDE)),
                    *_up([*reversed(channels), 3]),
                )
                self.beta: Tensor
                self.register_buffer("beta", torch.tensor(float(params["beta"])))

            def forward(self, pixels: Tensor) -> Tokens:
                picture = pixels.float() / 255
                mean, spread = self.encoder(picture * 2 - 1).chunk(2, dim=1)
                mask = torch.ones(len(mean), 1, dtype=torch.bool, device=mean.device)
                if not self.training:
                    return Tokens(mean.unsqueeze(1), mask)
                spread = spread.clamp(-10, 10)  # the logarithm of the variance
                sample = mean + (spread / 2).exp() * torch.randn_like(mean)
                drawn = self.decoder(sample).sigmoid()
                error = F.mse_loss(drawn, picture, reduction="none").mean((1, 2, 3))
                divergence = (mean.square() + spread.exp() - 1 - spread).sum(1) / 2
                # a missing picture is all black: it teaches nothing of pictures
                there = pixels.flatten(1).any(1).float()
                share = there / there.sum().clamp(min=1)
                losses = {
                    "reconstruction": (error * share).sum(),
                    "divergence": self.beta * (divergence * share).sum() / picture[0].numel(),
                }
                return Tokens(sample.unsqueeze(1), mask, losses)

        return Model()


def _down(channels: list[int]) -> list[nn.Module]:
    from torch import nn

    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return layers


def _up(channels: list[int]) -> list[nn.Module]:
    from torch import nn

    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
    return layers
