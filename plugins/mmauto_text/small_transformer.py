"""A small Transformer encoder over words, trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
    DataError,
    Encoder,
    FeatureSpec,
    Float,
    Int,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_text.words import (
    LARGEST,
    PADDING,
    RESERVED,
    fit_words,
    real_positions,
    word_arrays,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class SmallTransformer(Encoder):
    """One token a word, after self-attention with learned positions.

    Attention is written out: the fused kernel has no rule for models trained side by side.
    """

    name = "small_transformer"
    modality = "text"
    remembered = True
    default = False
    summary = "Transformer encoder of 1-4 layers over words, trained from scratch"
    reference = "Vaswani et al. 2017, Attention Is All You Need; Xiong et al. 2020 (norm first)"

    def space(self, task: TaskView) -> Space:
        """Width of a token, heads, layers and dropout; and the vocabulary's size."""
        return {
            "width": Choice((64, 128, 256, 512), 64),
            "heads": Choice((2, 4, 8), 4),
            "layers": Int(1, 4, 2),
            "dropout": Float(0.0, 0.5, 0.1, packs=True),
            "vocabulary": Choice((LARGEST,)),
        }

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` and ``length``."""
        return fit_words(train, int(params["vocabulary"]))

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` and ``mask`` (N, T)."""
        return word_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a word.

        Raises:
            DataError: the heads do not share the width evenly.
        """
        width, heads = int(params["width"]), int(params["heads"])
        if width % heads:
            raise DataError(
                f"small_transformer's width must be a multiple of its heads, the parameters give "
                f"width {width} and {heads} heads; change one of them in the study file"
            )
        return FeatureSpec(int(state["length"]), width)

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, T, width)."""
        import torch
        from torch import nn

        shape = self.features(state, params)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                count = len(state["vocabulary"]) + RESERVED
                self.embedding = nn.Embedding(count, shape.dim, padding_idx=PADDING)
                self.places = nn.Parameter(torch.randn(shape.tokens, shape.dim))
                self.dropout = nn.Dropout(float(params["dropout"]))
                self.layers = nn.ModuleList(layer(params) for _ in range(int(params["layers"])))
                self.norm = nn.LayerNorm(shape.dim)

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                real = real_positions(mask)
                values = self.dropout(self.embedding(ids) + self.places[: ids.shape[1]])
                for block in self.layers:
                    values = block(values, real)
                return Tokens(self.norm(values) * real.unsqueeze(-1), real)

        return Model()


def layer(params: Params) -> nn.Module:
    """Self-attention and a feed-forward part, each behind its norm: (B, T, D), (B, T) -> same."""
    import torch
    from torch import nn

    width, heads, dropout = int(params["width"]), int(params["heads"]), float(params["dropout"])

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            self.inputs = nn.Linear(width, 3 * width)
            self.output = nn.Linear(width, width)
            self.dropout = nn.Dropout(dropout)
            self.forward_part = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout),
                nn.Linear(4 * width, width),
            )  # fmt: skip

        def attend(self, values: Tensor, real: Tensor) -> Tensor:
            split = self.inputs(values).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            query, key, value = split.unbind(0)  # (B, heads, T, D / heads)
            scores = query @ key.transpose(2, 3) / (width / heads) ** 0.5
            scores = scores.masked_fill(~real[:, None, None], float("-inf"))
            weights = self.dropout(torch.softmax(scores, dim=-1))
            joined: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
            return joined

        def forward(self, values: Tensor, real: Tensor) -> Tensor:
            values = values + self.dropout(self.attend(self.norms[0](values), real))
            changed: Tensor = self.dropout(self.forward_part(self.norms[1](values)))
            return values + changed

    return Layer()
