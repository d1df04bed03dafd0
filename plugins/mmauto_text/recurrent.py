"""What ``lstm`` and ``gru`` share: a recurrent network over words, trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

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

EMBEDDING = 64


class Recurrent(Encoder):
    """One token a word, the hidden state there; or one token a text, the last hidden state.

    The way back starts at each text's own last word, so padding is never read. Reversing by index
    rather than packing keeps shapes fixed and needs no lengths on the CPU.

    Attributes:
        cell: the layer's name in ``torch.nn``.
    """

    modality = "text"
    remembered = True
    cell: ClassVar[Literal["LSTM", "GRU"]]

    def space(self, task: TaskView) -> Space:
        """Width a direction, layers, directions, dropout before each layer; and the fixed sizes.

        Published structures stand in a study file, e.g. ``embedding = 300, width = 256``.
        """
        return {
            "width": Choice((32, 64, 128), 64),
            "layers": Int(1, 2, 1),
            "bidirectional": Choice((True, False)),
            "dropout": Float(0.0, 0.5, 0.2, packs=True),
            "embedding": Choice((EMBEDDING,)),
            "vocabulary": Choice((LARGEST,)),
            "pool": Choice(("tokens", "last")),
        }

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` and ``length``."""
        return fit_words(train, int(params.get("vocabulary", LARGEST)))

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` and ``mask`` (N, T)."""
        return word_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a word or a text, of the width of all directions."""
        return FeatureSpec(1 if _last(params) else int(state["length"]), _width(params))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, T or 1, width x directions)."""
        import torch
        from torch import nn

        # bundles older than the parameter do not hold it
        embedding = int(params.get("embedding", EMBEDDING))
        sizes = [embedding] + [_width(params)] * (int(params["layers"]) - 1)
        last = _last(params)

        def layers() -> nn.ModuleList:
            cell = getattr(nn, self.cell)
            return nn.ModuleList(
                cell(size, int(params["width"]), batch_first=True) for size in sizes
            )

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                count = len(state["vocabulary"]) + RESERVED
                self.embedding = nn.Embedding(count, embedding, padding_idx=PADDING)
                self.dropout = nn.Dropout(float(params["dropout"]))
                self.ahead = layers()
                self.back = layers() if params["bidirectional"] else None

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                values = self.embedding(ids)
                turned = reversed_places(mask)
                ends: list[Tensor] = []
                for level, ahead in enumerate(self.ahead):
                    values = self.dropout(values)
                    parts = [ahead(values)[0]]
                    ends = [reorder(parts[0], turned)[:, :1]]
                    if self.back is not None:
                        backwards = self.back[level](reorder(values, turned))[0]
                        parts.append(reorder(backwards, turned))
                        ends.append(parts[1][:, :1])
                    values = torch.cat(parts, dim=-1)
                real = real_positions(mask)
                if last:  # what each direction holds after its own last word
                    return Tokens(torch.cat(ends, dim=-1), real[:, :1])
                return Tokens(values * real.unsqueeze(-1), real)

        return Model()


def _width(params: Params) -> int:
    return int(params["width"]) * (2 if params["bidirectional"] else 1)


def _last(params: Params) -> bool:
    return params.get("pool") == "last"


def reversed_places(mask: Tensor) -> Tensor:
    """(B, T) mask -> (B, T) places that turn each row's real part round; padding stays."""
    import torch

    place = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)
    length = mask.sum(1, keepdim=True)
    return torch.where(place < length, length - 1 - place, place)


def reorder(values: Tensor, places: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, T, D) with token ``places[b, t]`` at ``t``."""
    return values.gather(1, places.unsqueeze(-1).expand_as(values))
