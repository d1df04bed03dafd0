"""Fields written out as a sentence, read as a bag of words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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

WORD = r"[^\s:;]+"
"""Figures and signs stay in one word: -0.5 is not 0 and 5."""


class TabularText(Encoder):
    """One token a row: TF-IDF weights of the words and word pairs of "age: 63; sex: f".

    Numbers are rounded, so that near ones share a word; missing fields are left out.
    """

    name = "tabular_text"
    modality = "tabular"
    remembered = True
    default = False
    summary = "fields written out as text, TF-IDF of its words, no training"
    reference = "Hegselmann et al. 2023, TabLLM, AISTATS (the text); Salton and Buckley 1988"

    def space(self, task: TaskView) -> Space:
        """Significant digits of a number, and how many words and pairs to keep."""
        return {"digits": Choice((1, 2, 3), 2), "max_features": Choice((500, 1000), 500)}

    def frozen(self, params: Params) -> bool:
        """Always."""
        return True

    def fit(self, train: Column, params: Params) -> State:
        """``fields`` in order; ``vocabulary`` and its ``idf`` (V,), empty without any value."""
        fields = sorted(train.fields)
        texts = [text for row in train if (text := written(row, fields, int(params["digits"])))]
        if not texts:
            return {"fields": fields, "vocabulary": [], "idf": np.zeros(0)}
        vectoriser = _vectoriser(max_features=int(params["max_features"])).fit(texts)
        return {
            "fields": fields,
            "vocabulary": vectoriser.get_feature_names_out().tolist(),
            "idf": np.asarray(vectoriser.idf_),
        }

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``weights`` (N, V) float32."""
        import torch

        if not state["vocabulary"]:
            return {"weights": torch.zeros(len(column), 1)}
        vectoriser = _vectoriser(vocabulary=state["vocabulary"])
        vectoriser.idf_ = np.asarray(state["idf"])
        texts = [written(row, state["fields"], int(params["digits"])) for row in column]
        found = vectoriser.transform(texts)
        return {"weights": torch.from_numpy(found.toarray().astype(np.float32))}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of V."""
        return FeatureSpec(1, max(1, len(state["vocabulary"])))

    def build(self, state: State, params: Params) -> nn.Module:
        """``weights`` (B, V) -> tokens (B, 1, V)."""
        import torch
        from torch import nn

        class Model(nn.Module):
            def forward(self, weights: Tensor) -> Tokens:
                mask = torch.ones(len(weights), 1, dtype=torch.bool, device=weights.device)
                return Tokens(weights.unsqueeze(1), mask)

        return Model().eval()


def written(row: Mapping[str, Any] | None, fields: list[str], digits: int) -> str:
    """A row as text, e.g. ``"age: 63; sex: f"``; empty for a missing one."""
    parts = []
    for name in fields:
        value = None if row is None else row.get(name)
        if isinstance(value, float):
            # twice: first rounded, then without an exponent where it can be (120, not 1.2e+02)
            value = f"{float(f'{value:.{digits}g}'):g}" if math.isfinite(value) else None
        if value is not None:
            parts.append(f"{name}: {value}")
    return "; ".join(parts)


def _vectoriser(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True, **options)
