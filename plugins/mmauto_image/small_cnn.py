"""A small convolutional network, trained from scratch with the fusion."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
    Encoder,
    FeatureSpec,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_image.pixels import jittered, pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SIZE = 64


class SmallCnn(Encoder):
    """Blocks of convolution, batch norm, ReLU and pooling; the last map's places are the tokens.

    Group norm would not let absent rows into a batch's statistics, where they are black pictures;
    it was tried and lost ten points of accuracy on clip art.
    """

    name = "small_cnn"
    modality = "image"
    summary = "3 or 4 convolution blocks on 64 x 64 pixels, trained from scratch"
    reference = "LeCun et al. 1998, Proc. IEEE; batch norm: Ioffe and Szegedy 2015, ICML"

    def space(self, task: TaskView) -> Space:
        """Channels of the first block, number of blocks, and whether to augment."""
        return {
            "width": Choice((16, 32)),
            "depth": Choice((3, 4), 4),
            "augment": Choice((False, True)),
        }

    def fit(self, train: Column, params: Params) -> State:
        """Nothing is learned before training."""
        return {}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 64, 64) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a place of the last map: 8 x 8 after three blocks, 4 x 4 after four."""
        side = SIZE // 2 ** int(params["depth"])
        return FeatureSpec(side * side, _channels(params)[-1])

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 64, 64) -> tokens (B, places, channels)."""
        import torch
        from torch import nn

        def block(before: int, after: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                channels = [3, *_channels(params)]
                self.blocks = nn.Sequential(*(block(*pair) for pair in pairwise(channels)))

            def forward(self, pixels: Tensor) -> Tokens:
                maps = self.blocks(pixels.float() / 127.5 - 1.0)
                values = maps.flatten(2).transpose(1, 2)
                mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, mask)

            def augment(
                self, arrays: Mapping[str, Tensor], generator: torch.Generator
            ) -> Mapping[str, Tensor]:
                if not params["augment"]:
                    return arrays
                return {"pixels": jittered(arrays["pixels"], generator)}

        return Model()


def _channels(params: Params) -> list[int]:
    return [int(params["width"]) * 2**level for level in range(int(params["depth"]))]
