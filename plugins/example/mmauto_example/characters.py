"""Characters through a convolution: reads misspelt words and unknown abbreviations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmauto.plugin import (
    Column,
    Encoder,
    FeatureSpec,
    Int,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

PADDING, UNKNOWN = 0, 1
KNOWN = 128
"""Code points that have a vector of their own: ASCII."""

LONGEST = 400
WINDOW = 5


class ExampleCharacters(Encoder):
    """One token a text: of each filter over five characters, its strongest answer."""

    name = "example_characters"
    modality = "text"
    summary = "a convolution over characters, pooled by maximum, trained with the model"
    reference = "Zhang, Zhao and LeCun 2015, Character-level Convolutional Networks, NeurIPS"
    default = False

    def space(self, task: TaskView) -> Space:
        """Filters."""
        return {"width": Int(32, 128, 64, log=True)}

    def fit(self, train: Column, params: Params) -> State:
        """``length``: of the longest TRAIN text, at most 400 characters; longer texts are cut."""
        longest = max((len(text) for text in train if text is not None), default=0)
        return {"length": min(max(longest, 1), LONGEST)}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` (N, T) int64 and ``mask`` (N, T) bool, 0 and False behind a text's end."""
        import torch

        ids = np.full((len(column), int(state["length"])), PADDING, dtype=np.int64)
        for row, text in enumerate(column):
            points = [ord(letter) for letter in (text or "").lower()[: ids.shape[1]]]
            ids[row, : len(points)] = [p + 2 if p < KNOWN else UNKNOWN for p in points]
        return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(ids != PADDING)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of ``width``."""
        return FeatureSpec(1, int(params["width"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids`` (B, T), ``mask`` (B, T) -> tokens (B, 1, width)."""
        import torch
        from torch import nn

        width = int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.letters = nn.Embedding(KNOWN + 2, 16, padding_idx=PADDING)
                self.filters = nn.Conv1d(16, width, WINDOW, padding=WINDOW // 2)

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                answers = self.filters(self.letters(ids).transpose(1, 2)).relu()  # (B, width, T)
                # padding answers nothing; an empty text is a token of zeros
                values = (answers * mask.unsqueeze(1)).amax(2).unsqueeze(1)
                one = torch.ones(len(ids), 1, dtype=torch.bool, device=ids.device)
                return Tokens(values, one)

        return Model()
