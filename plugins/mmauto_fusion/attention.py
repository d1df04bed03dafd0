"""Transformer layers that every attention fusion is built from, and the space that they share.

Width and heads are the same for all, so that no Transformer loses because it is narrower than the
others. Attention is written out: `torch.vmap` falls back to a slow loop in torch's fused one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmauto.plugin import Choice, DataError, FeatureSpec, Float, Int, Params, Space, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

ATTENTION_SPACE: Space = {
    "width": Choice((64, 128, 256, 512), 128),
    "heads": Choice((2, 4, 8), 4),
    "layers": Int(1, 4, 2),
    "dropout": Float(0.0, 0.5, 0.1, packs=True),
}
"""Every width is a multiple of every number of heads."""


def attention_layer(params: Params) -> nn.Module:
    """A pre-norm Transformer layer: ``(queries, context, mask) -> queries``.

    ``forward(own (B, T, width), context (B, S, width), mask (B, S)) -> (B, T, width)``; for
    self-attention the context is the queries themselves (Vaswani et al. 2017; pre-norm: Xiong et
    al. 2020).
    """
    import torch
    from torch import nn

    width, count, rate = int(params["width"]), int(params["heads"]), float(params["dropout"])

    if width % count:
        raise DataError(
            f"an attention's width is a multiple of its heads, the study's space gives "
            f"fusion/width = {width} and fusion/heads = {count}; change one of them"
        )

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before_query, self.before_context = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query = nn.Linear(width, width)
            self.key_value = nn.Linear(width, 2 * width)
            self.out = nn.Linear(width, width)
            self.before_feed = nn.LayerNorm(width)
            self.feed = nn.Sequential(
                nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            self.dropout = nn.Dropout(rate)

        def forward(self, own: Tensor, context: Tensor, mask: Tensor) -> Tensor:
            pair = self.key_value(self.before_context(context)).chunk(2, dim=-1)
            query, key, value = (
                part.unflatten(-1, (count, -1)).transpose(1, 2)  # (B, heads, T, width / heads)
                for part in (self.query(self.before_query(own)), *pair)
            )
            scores = query @ key.transpose(-2, -1) / math.sqrt(width / count)
            scores = torch.where(mask[:, None, None, :], scores, float("-inf"))
            seen = (scores.softmax(-1) @ value).transpose(1, 2).flatten(-2)
            hidden = own + self.dropout(self.out(seen))
            return hidden + self.dropout(self.feed(self.before_feed(hidden)))  # type: ignore[no-any-return]

    return Layer()


def project(features: Mapping[str, FeatureSpec], keys: Sequence[str], width: int) -> nn.ModuleList:
    """A linear layer a modality to the shared width."""
    from torch import nn

    return nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)


def joined(parts: Sequence[Tokens]) -> Tokens:
    """The tokens of several modalities as one sequence, ``(B, sum of T, D)``."""
    import torch

    return Tokens(
        torch.cat([part.values for part in parts], dim=1),
        torch.cat([part.mask for part in parts], dim=1),
    )
