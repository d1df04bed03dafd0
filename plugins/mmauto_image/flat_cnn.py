"""One convolution, pooled and flattened: the image part of many published small pipelines."""

from __future__ import annotations

from collections.abc import Mapping
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
from mmauto_image.pixels import pixels

if TYPE_CHECKING:
    from torch import Tensor, nn


class FlatCnn(Encoder):
    """Convolution 3 x 3, ReLU, 2 x 2 max-pooling, flattened to a single token.

    As in the usual tutorials: no padding, so a side of 32 gives 15 x 15 places.
    """

    name = "flat_cnn"
    modality = "image"
    summary = "one 3 x 3 convolution, max-pooled and flattened, trained from scratch"
    reference = "LeCun et al. 1998, Gradient-Based Learning, Proc. IEEE"
    default = False

    def space(self, task: TaskView) -> Space:
        """Channels, and pixels a side."""
        return {"width": Choice((16, 32, 64), 32), "size": Choice((32,))}

    def fit(self, train: Column, params: Params) -> State:
        """Nothing is learned before training."""
        return {}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, size, size) uint8."""
        return {"pixels": pixels(column, int(params["size"]))}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of channels x places."""
        side = (int(params["size"]) - 2) // 2
        return FeatureSpec(1, int(params["width"]) * side * side)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, size, size) -> tokens (B, 1, channels x places)."""
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = nn.Sequential(
                    nn.Conv2d(3, int(params["width"]), 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
                )

            def forward(self, pixels: Tensor) -> Tokens:
                values = self.layers(pixels.float() / 255.0).unsqueeze(1)
                here = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, here)

        return Model()
