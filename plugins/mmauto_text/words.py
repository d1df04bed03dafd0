"""Texts as word numbers, with a vocabulary from train rows: what the trained encoders read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmauto.plugin import Column, State

if TYPE_CHECKING:
    from torch import Tensor

WORD = re.compile(r"\w+")
PADDING, UNKNOWN = 0, 1
RESERVED = 2
LONGEST = 128
LARGEST = 5000


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, in lower case."""
    return WORD.findall(text.lower())


def fit_words(train: Column, largest: int = LARGEST) -> State:
    """The ``largest`` most frequent words, and the longest text's length, at most 128 words.

    A word seen once becomes the unknown word, so that this one gets trained too.
    """
    texts = [words(text) for text in train if text is not None]
    counts = Counter(word for text in texts for word in text)
    often = sorted((-count, word) for word, count in counts.items() if count > 1)
    length = max((len(text) for text in texts), default=0)
    return {
        "vocabulary": [word for _, word in often[:largest]],
        "length": min(max(length, 1), LONGEST),
    }


def word_arrays(column: Column, state: State) -> Mapping[str, Tensor]:
    """``ids`` (N, T) int64, 0 where padded, and ``mask`` (N, T) bool."""
    import torch

    number = {word: place + RESERVED for place, word in enumerate(state["vocabulary"])}
    ids = np.full((len(column), int(state["length"])), PADDING, dtype=np.int64)
    for row, text in enumerate(column):
        found = [number.get(word, UNKNOWN) for word in words(text or "")[: ids.shape[1]]]
        ids[row, : len(found)] = found
    return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(ids != PADDING)}


def real_positions(mask: Tensor) -> Tensor:
    """(B, T) -> the same with the first position True: a text without words keeps one token."""
    import torch

    return mask | (torch.arange(mask.shape[1], device=mask.device) == 0)
