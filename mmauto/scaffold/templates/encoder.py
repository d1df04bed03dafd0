"""Hashed words: each word counts in one of a fixed number of buckets."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
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

if TYPE_CHECKING:
    from torch import Tensor, nn

WORD = re.compile(r"\w+")


class ScaffoldNameEncoder(Encoder):
    """One token a text: how often each bucket's words occur, rare buckets weighing more.

    No vocabulary is kept, so a word that training never saw still counts in its bucket.
    """

    name = "scaffold_name"
    modality = "text"
    summary = "words hashed into buckets, weighted by how rare a bucket is"
    reference = "Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning, ICML"

    def space(self, task: TaskView) -> Space:
        """The number of buckets; the default is the first trial."""
        return {"buckets": Choice((128, 256, 512), 256)}

    def frozen(self, params: Params) -> bool:
        """True: nothing is trained, so the host computes the tokens once and caches them."""
        return True

    def fit(self, train: Column, params: Params) -> State:
        """``rarity`` (V,): the logarithm of 1 / the share of TRAIN texts with that bucket."""
        counts = _counts(train, int(params["buckets"]))
        texts = max(1, int(train.present.sum()))
        return {"rarity": np.log((1 + texts) / (1 + (counts > 0).sum(0))) + 1}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``weights`` (N, V) float32, rows of length 1; zeros where the text is missing."""
        import torch

        rarity = np.asarray(state["rarity"])
        weights = _counts(column, len(rarity)) * rarity
        length = np.linalg.norm(weights, axis=1, keepdims=True)
        weights = weights / np.where(length > 0, length, 1.0)
        return {"weights": torch.from_numpy(weights.astype(np.float32))}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of V."""
        return FeatureSpec(1, len(state["rarity"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``weights`` (B, V) -> tokens (B, 1, V)."""
        import torch
        from torch import nn

        class Model(nn.Module):
            def forward(self, weights: Tensor) -> Tokens:
                mask = torch.ones(len(weights), 1, dtype=torch.bool, device=weights.device)
                return Tokens(weights.unsqueeze(1), mask)

        return Model()


def _counts(column: Column, buckets: int) -> np.ndarray:
    """(N, V): words by bucket. CRC-32, because Python's own hash changes with every process."""
    counts = np.zeros((len(column), buckets))
    for row, text in enumerate(column):
        for word in WORD.findall((text or "").lower()):
            counts[row, zlib.crc32(word.encode()) % buckets] += 1
    return counts
