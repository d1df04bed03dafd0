"""A small vision transformer, trained from scratch with the fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
    Encoder,
    FeatureSpec,
    Int,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_image.grid import sequence_tokens
from mmauto_image.pixels import jittered, pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SIZE = 64
DROPOUT = 0.1


class VisionTransformer(Encoder):
    """Square patches as words: a class token and learned places, then a transformer's layers.

    The tokens are the patches behind the last layer; the class token only takes part in attention.
    """

    name = "vit"
    modality = "image"
    summary = "a small vision transformer on 64 x 64 pixels, trained from scratch"
    reference = "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, ICLR; torchvision"
    default = False

    def space(self, task: TaskView) -> Space:
        """Width, layers, heads, pixels a patch's side, tokens a side, and whether to augment.

        ``grid`` 8 keeps each patch of 8 pixels apart; 1, 2 and 4 average neighbours.
        """
        return {
            "width": Choice((64, 128, 192)),
            "layers": Int(2, 6, 4),
            "heads": Choice((2, 4)),
            "patch": Choice((8, 16)),
            "grid": Choice((1, 2, 4, 8), 4),
            "augment": Choice((False, True), True),
        }

    def fit(self, train: Column, params: Params) -> State:
        """Nothing is learned before training."""
        return {}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 64, 64) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """grid x grid tokens of ``width``, but never more than there are patches."""
        return FeatureSpec(_side(params) ** 2, int(params["width"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 64, 64) -> tokens (B, grid x grid, width)."""
        import torch
        from torch import nn
        from torchvision.models.vision_transformer import VisionTransformer

        width = int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = VisionTransformer(
                    image_size=SIZE,
                    patch_size=int(params["patch"]),
                    num_layers=int(params["layers"]),
                    num_heads=int(params["heads"]),
                    hidden_dim=width,
                    mlp_dim=2 * width,
                    dropout=DROPOUT,
                )
                self.network.heads = nn.Identity()

            def forward(self, pixels: Tensor) -> Tokens:
                patches = self.network.conv_proj(pixels.float() / 127.5 - 1.0)
                words = patches.flatten(2).transpose(1, 2)
                first = self.network.class_token.expand(len(words), -1, -1)
                out = self.network.encoder(torch.cat([first, words], dim=1))
                return sequence_tokens(out, _side(params))

            def augment(
                self, arrays: Mapping[str, Tensor], generator: torch.Generator
            ) -> Mapping[str, Tensor]:
                if not params["augment"]:
                    return arrays
                return {"pixels": jittered(arrays["pixels"], generator)}

        return Model()


def _side(params: Params) -> int:
    return min(int(params["grid"]), SIZE // int(params["patch"]))
