"""A feature map, or a sequence of patches, as a few tokens: what most networks here end with."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from mmauto.plugin import Choice, FeatureSpec, Params, Tokens

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
"""Pixels a side. On 1,465 clip-art pictures, 160 and 192 gain less than they cost."""

GRID = Choice((1, 2))
"""Tokens a side: 1 averages the whole map, 2 keeps its four quarters apart."""


def grid_features(params: Params, dim: int) -> FeatureSpec:
    """The tokens' shape: grid x grid tokens of ``dim``."""
    return FeatureSpec(int(params["grid"]) ** 2, dim)


def grid_tokens(maps: Tensor, params: Params) -> Tokens:
    """(B, D, H, W) -> tokens (B, grid x grid, D), row by row."""
    return map_tokens(maps, int(params["grid"]))


def map_tokens(maps: Tensor, side: int) -> Tokens:
    """(B, D, H, W) -> tokens (B, side x side, D), row by row."""
    import torch
    from torch.nn import functional as F

    # means of bfloat16 maps would be rounded once more, to a fortieth of what tells pictures apart
    values = F.adaptive_avg_pool2d(maps.float(), side).flatten(2).transpose(1, 2)
    return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))


def sequence_tokens(values: Tensor, side: int) -> Tokens:
    """(B, L, D) -> tokens (B, side x side, D) of the patches, which are the last S x S of L.

    S is the largest that fits: what stands before the patches (a class token, registers) are few.
    """
    patches = isqrt(values.shape[1])
    maps = values[:, values.shape[1] - patches**2 :].transpose(1, 2)
    return map_tokens(maps.reshape(*maps.shape[:2], patches, patches), side)
