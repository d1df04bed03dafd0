"""A multilayer perceptron over numbers and embedded categories."""

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
from mmauto_tabular.fields import code_counts, field_arrays, fit_fields

if TYPE_CHECKING:
    from torch import Tensor, nn

EMBEDDING = 8


class Mlp(Encoder):
    """Standardised numbers, a flag for each missing one, and embedded categories; one token.

    Category 0 stands for a missing value and for one that the train rows do not have.
    """

    name = "mlp"
    modality = "tabular"
    summary = "numbers, missing flags and embedded categories through an MLP"
    reference = "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, NeurIPS"

    def space(self, task: TaskView) -> Space:
        """Width, number of layers and dropout."""
        return {
            "width": Choice((32, 64, 128), 64),
            "depth": Int(1, 3, 2),
            "dropout": Float(0.0, 0.5, 0.1, packs=True),
        }

    def fit(self, train: Column, params: Params) -> State:
        """Field names, ``mean`` and ``scale`` (F,) of numbers, and the categories of each field."""
        return fit_fields(train)

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``codes`` (N, C) int64 and ``numbers`` (N, 2F) float32: values, then missing flags.

        An array without columns is left out.
        """
        return field_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token."""
        return FeatureSpec(1, int(params["width"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``codes`` (B, C), ``numbers`` (B, 2F) -> tokens (B, 1, width)."""
        import torch
        from torch import nn

        width = int(params["width"])
        counts = code_counts(state)
        inputs = 2 * len(state["numeric"]) + EMBEDDING * len(counts)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embeddings = nn.ModuleList(nn.Embedding(n, EMBEDDING) for n in counts)
                layers: list[nn.Module] = []
                for size in [inputs] + [width] * (int(params["depth"]) - 1):
                    layers += [nn.Linear(size, width), nn.ReLU()]
                    layers.append(nn.Dropout(float(params["dropout"])))
                self.layers = nn.Sequential(*layers)

            def forward(self, codes: Tensor | None = None, numbers: Tensor | None = None) -> Tokens:
                parts = [] if numbers is None else [numbers]
                if codes is not None:
                    parts += [e(code) for e, code in zip(self.embeddings, codes.T, strict=True)]
                values = self.layers(torch.cat(parts, dim=-1)).unsqueeze(1)
                mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, mask)

        return Model()
