"""Published word vectors (word2vec, GloVe) from a file of the user's own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
from mmauto_text.vector_file import read_vectors
from mmauto_text.words import LONGEST, PADDING, real_positions, words

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIABLE = "MMAUTO_WORD_VECTORS"
RANDOM = 64
"""Numbers of a random vector, where no file is given."""


class WordVectors(Encoder):
    """The vectors of a text's words, or their mean; words without a vector are left out.

    Only words of the train texts are kept. Without a file their vectors are random and fixed: what
    a file must beat.
    """

    name = "word_vectors"
    modality = "text"
    default = False
    summary = "word2vec or GloVe vectors from a text file, frozen or trained on"
    reference = "Mikolov et al. 2013, word2vec; Pennington et al. 2014, GloVe, EMNLP"

    def space(self, task: TaskView) -> Space:
        """The file (else the variable MMAUTO_WORD_VECTORS), whether vectors train, the tokens."""
        return {
            "file": Choice(("",), open=True),
            "tune": Choice((False, True)),
            "pool": Choice(("mean", "tokens")),
        }

    def frozen(self, params: Params) -> bool:
        """Unless the vectors train."""
        return not params["tune"]

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary``, its ``vectors`` (V, D), ``length``, ``coverage``, and ``notes`` on it.

        ``coverage`` is the share of ``distinct`` and of ``running`` train words with a vector.

        Raises:
            DataError: the file cannot be read as word vectors.
        """
        texts = [words(text) for text in train if text is not None]
        counts = Counter(word for text in texts for word in text)
        file = str(params["file"]) or os.environ.get(VARIABLE, "")
        vectors = read_vectors(Path(file).expanduser(), counts) if file else _random(counts)
        known = sorted(vectors)
        table = np.array([vectors[word] for word in known], dtype=np.float32)
        length = max((len(text) for text in texts), default=0)
        distinct = len(known) / max(len(counts), 1)
        running = sum(counts[word] for word in known) / max(counts.total(), 1)
        return {
            "vocabulary": known,
            "vectors": table if known else np.zeros((0, RANDOM), dtype=np.float32),
            "length": min(max(length, 1), LONGEST),
            "coverage": {"distinct": distinct, "running": running},
            "notes": [
                f"{file or 'random vectors'}: {distinct:.1%} of the {len(counts):,} distinct train "
                f"words have a vector, {running:.1%} of the running words"
            ],
        }

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` (N, T) int64 of the words with a vector, 0 where padded; ``mask`` (N, T) bool."""
        import torch

        number = {word: place for place, word in enumerate(state["vocabulary"], start=1)}
        ids = np.full((len(column), int(state["length"])), PADDING, dtype=np.int64)
        for row, text in enumerate(column):
            found = [number[word] for word in words(text or "") if word in number]
            ids[row, : len(found)] = found[: ids.shape[1]]
        return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(ids != PADDING)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a text or a word, of the vectors' width."""
        tokens = 1 if params["pool"] == "mean" else int(state["length"])
        return FeatureSpec(tokens, int(state["vectors"].shape[1]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, T) -> tokens (B, 1 or T, D)."""
        import torch
        from torch import nn

        known = torch.as_tensor(np.asarray(state["vectors"]))
        table = torch.cat([known.new_zeros(1, known.shape[1]), known])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(
                    len(table), table.shape[1], padding_idx=PADDING, _weight=table
                )
                self.embedding.requires_grad_(bool(params["tune"]))

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                tokens = Tokens(self.embedding(ids), real_positions(mask))
                if params["pool"] == "tokens":
                    return tokens
                return Tokens(tokens.mean().unsqueeze(1), tokens.mask[:, :1])

        return Model().eval()


def _random(counts: Counter[str]) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {word: draw.normal(size=RANDOM).astype(np.float32) for word in sorted(counts)}
