"""Word embeddings trained from scratch; fusions that need one vector take their mean."""

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
from mmauto_text.words import PADDING, RESERVED, fit_words, real_positions, word_arrays

if TYPE_CHECKING:
    from torch import Tensor, nn


class EmbeddingMean(Encoder):
    """One token a word, its embedding; word order does not count."""

    name = "embedding_mean"
    modality = "text"
    remembered = True
    summary = "word embeddings without order, trained from scratch"
    reference = "Joulin et al. 2017, Bag of Tricks (fastText), EACL"

    def space(self, task: TaskView) -> Space:
        """Width of an embedding, and dropout on it."""
        return {"dim": Choice((32, 64, 128), 64), "dropout": Float(0.0, 0.5, 0.2, packs=True)}

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` and ``length``."""
        return fit_words(train)

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` and ``mask`` (N, T)."""
        return word_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a word, as many as the longest train text has."""
        return FeatureSpec(int(state["length"]), int(params["dim"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, T, dim)."""
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                count = len(state["vocabulary"]) + RESERVED
                self.embedding = nn.Embedding(count, int(params["dim"]), padding_idx=PADDING)
                self.dropout = nn.Dropout(float(params["dropout"]))

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                return Tokens(self.dropout(self.embedding(ids)), real_positions(mask))

        return Model()
