"""A convolution over words with a maximum over time."""

from __future__ import annotations

from collections.abc import Mapping
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

FILTERS = (3, 4, 5)
"""Words that a filter sees, as in the paper."""


class TextCnn(Encoder):
    """One token a text: the strongest answer of each filter, wherever in the text it is."""

    name = "text_cnn"
    modality = "text"
    remembered = True
    default = False
    summary = "convolutions over 3, 4 and 5 words, maximum over time, trained from scratch"
    reference = "Kim 2014, Convolutional Neural Networks for Sentence Classification, EMNLP"

    def space(self, task: TaskView) -> Space:
        """Filters of each size, dropout on their maxima; and the fixed sizes.

        The paper's own are ``width = 100, dropout = 0.5, embedding = 300``.
        """
        return {
            "width": Choice((32, 64, 100), 64),
            "dropout": Float(0.0, 0.5, 0.5, packs=True),
            "embedding": Choice((64,)),
            "vocabulary": Choice((LARGEST,)),
        }

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` and ``length``."""
        return fit_words(train, int(params["vocabulary"]))

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` and ``mask`` (N, T)."""
        return word_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token, as wide as all filters."""
        return FeatureSpec(1, int(params["width"]) * len(FILTERS))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, 1, 3 x width)."""
        import torch
        import torch.nn.functional as F
        from torch import nn

        width, embedding = int(params["width"]), int(params["embedding"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                count = len(state["vocabulary"]) + RESERVED
                self.embedding = nn.Embedding(count, embedding, padding_idx=PADDING)
                self.filters = nn.ModuleList(nn.Conv1d(embedding, width, k) for k in FILTERS)
                self.dropout = nn.Dropout(float(params["dropout"]))

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                values = (self.embedding(ids) * mask.unsqueeze(-1)).transpose(1, 2)
                real = real_positions(mask)
                found = []
                for size, layer in zip(FILTERS, self.filters, strict=True):
                    # one window a word, so that a text shorter than the filter has one too
                    padded = F.pad(values, ((size - 1) // 2, size // 2))
                    answer = F.relu(layer(padded)) * real.unsqueeze(1)
                    found.append(answer.amax(2))
                tokens = self.dropout(torch.cat(found, dim=-1)).unsqueeze(1)
                return Tokens(tokens, real[:, :1])

        return Model()
