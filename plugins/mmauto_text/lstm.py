"""A long short-term memory over words, trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
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
from mmauto_text.words import PADDING, RESERVED, fit_words, real_positions, word_arrays

if TYPE_CHECKING:
    from torch import Tensor, nn

EMBEDDING = 64


class Lstm(Encoder):
    """One token a word: the hidden state there, of one direction or of both.

    The way back starts at each text's own last word, so padding is never read. Reversing by index
    rather than packing keeps shapes fixed and needs no lengths on the CPU.
    """

    name = "lstm"
    modality = "text"
    summary = "LSTM of 1-2 layers over word embeddings, trained from scratch"
    reference = "Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005 (both directions)"

    def space(self, task: TaskView) -> Space:
        """Width a direction, layers, directions and dropout between layers."""
        return {
            "width": Choice((32, 64, 128), 64),
            "layers": Int(1, 2, 1),
            "bidirectional": Choice((True, False)),
            "dropout": Float(0.0, 0.5, 0.2),
        }

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` and ``length``."""
        return fit_words(train)

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` and ``mask`` (N, T)."""
        return word_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a word, of the width of all directions."""
        return FeatureSpec(int(state["length"]), _width(params))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, T, width x directions)."""
        import torch
        from torch import nn

        sizes = [EMBEDDING] + [_width(params)] * (int(params["layers"]) - 1)

        def layers() -> nn.ModuleList:
            return nn.ModuleList(
                nn.LSTM(size, int(params["width"]), batch_first=True) for size in sizes
            )

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                count = len(state["vocabulary"]) + RESERVED
                self.embedding = nn.Embedding(count, EMBEDDING, padding_idx=PADDING)
                self.dropout = nn.Dropout(float(params["dropout"]))
                self.ahead = layers()
                self.back = layers() if params["bidirectional"] else None

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                values = self.embedding(ids)
                turned = reversed_places(mask)
                for level, ahead in enumerate(self.ahead):
                    values = self.dropout(values)
                    parts = [ahead(values)[0]]
                    if self.back is not None:
                        backwards = self.back[level](reorder(values, turned))[0]
                        parts.append(reorder(backwards, turned))
                    values = torch.cat(parts, dim=-1)
                real = real_positions(mask)
                return Tokens(values * real.unsqueeze(-1), real)

        return Model()


def _width(params: Params) -> int:
    return int(params["width"]) * (2 if params["bidirectional"] else 1)


def reversed_places(mask: Tensor) -> Tensor:
    """(B, T) mask -> (B, T) places that turn each row's real part round; padding stays."""
    import torch

    place = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)
    length = mask.sum(1, keepdim=True)
    return torch.where(place < length, length - 1 - place, place)


def reorder(values: Tensor, places: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, T, D) with token ``places[b, t]`` at ``t``."""
    return values.gather(1, places.unsqueeze(-1).expand_as(values))
