"""Images as arrays of one size, and changed a little for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmauto.plugin import Column

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SHIFT = 0.25
"""Largest shift in units of half an image, so an eighth of the side."""

BRIGHTNESS = 0.2
"""Largest relative change of brightness."""


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of red, green and blue over ImageNet, 0 to 1."""


def pixels(column: Column, size: int) -> Tensor:
    """Every image resized to a square.

    Returns:
        (N, 3, size, size) uint8; missing samples are zeros.
    """
    import torch
    from PIL import Image

    values = np.zeros((len(column), 3, size, size), dtype=np.uint8)
    for row, sample in enumerate(column):
        if sample is not None:
            small = sample.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            values[row] = np.asarray(small).transpose(2, 0, 1)
    return torch.from_numpy(values)


def scaling(mean: Sequence[float], deviation: Sequence[float]) -> nn.Module:
    """A module (B, 3, S, S) uint8 -> the same as floats, less the mean over the deviation.

    Args:
        mean: of red, green and blue, 0 to 1; ``deviation`` likewise.
    """
    import torch
    from torch import nn

    class Scaling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean: Tensor
            self.deviation: Tensor
            for name, values in (("mean", mean), ("deviation", deviation)):
                value = torch.tensor([float(number) for number in values]).view(1, 3, 1, 1)
                self.register_buffer(name, value, persistent=False)

        def forward(self, pixels: Tensor) -> Tensor:
            return (pixels.float() / 255 - self.mean) / self.deviation

    return Scaling()


def jittered(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image flipped left to right by a coin, shifted and made brighter or darker.

    Args:
        images: (B, 3, S, S) uint8.
        generator: on the device of ``images``.

    Returns:
        (B, 3, S, S) uint8.
    """
    import torch
    from torch.nn import functional as F

    count = len(images)
    coin, across, down, light = torch.rand(
        4, count, generator=generator, device=images.device
    ).unbind()
    zero = torch.zeros_like(coin)
    flip = torch.where(coin < 0.5, -1.0, 1.0)
    rows = [flip, zero, (2 * across - 1) * SHIFT, zero, zero + 1, (2 * down - 1) * SHIFT]
    grid = F.affine_grid(
        torch.stack(rows, 1).view(count, 2, 3), list(images.shape), align_corners=False
    )
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    lit = moved * (1 + (2 * light - 1) * BRIGHTNESS).view(-1, 1, 1, 1)
    return lit.round().clamp(0, 255).to(torch.uint8)
