"""TF-IDF weights of words and word pairs: the plain text baseline."""

from __future__ import annotations

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


class BagOfWords(Encoder):
    """One token a text: the weights of the most frequent words and pairs of the train rows."""

    name = "bag_of_words"
    modality = "text"
    remembered = True
    summary = "TF-IDF of words and word pairs, no training"
    reference = "Salton and Buckley 1988; scikit-learn TfidfVectorizer"

    def space(self, task: TaskView) -> Space:
        """How many words and pairs to keep."""
        return {"max_features": Choice((500, 1000, 2000), 1000)}

    def frozen(self, params: Params) -> bool:
        """Always."""
        return True

    def fit(self, train: Column, params: Params) -> State:
        """``vocabulary`` in column order and its ``idf`` (V,); both empty without any word."""
        texts = [text for text in train if text is not None]
        vectoriser = _vectoriser(max_features=int(params["max_features"]))
        analyse = vectoriser.build_analyzer()
        if not any(analyse(text) for text in texts):
            return {"vocabulary": [], "idf": np.zeros(0)}
        vectoriser.fit(texts)
        return {
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
        found = vectoriser.transform([text or "" for text in column])
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


def _vectoriser(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **options)
