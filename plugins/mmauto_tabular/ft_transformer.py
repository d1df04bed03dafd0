"""A Transformer over fields: a token a number, a token a category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    Column,
    DataError,
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


class FtTransformer(Encoder):
    """What self-attention over all fields puts into one more token, or every field's token.

    A number's token is its value times a learned vector plus another; a missing one has a vector
    of its own.
    """

    name = "ft_transformer"
    modality = "tabular"
    default = False
    summary = "a token a field through a small Transformer, trained from scratch"
    reference = "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, NeurIPS"

    def space(self, task: TaskView) -> Space:
        """Width of a token, heads, layers and dropout; one token a row or one a field."""
        return {
            "width": Choice((32, 64, 128), 64),
            "heads": Choice((2, 4, 8), 4),
            "layers": Int(1, 4, 2),
            "dropout": Float(0.0, 0.5, 0.1, packs=True),
            "pool": Choice(("cls", "tokens")),
        }

    def fit(self, train: Column, params: Params) -> State:
        """Field names, ``mean`` and ``scale`` (F,) of numbers, and the categories of each field."""
        return fit_fields(train)

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``codes`` (N, C) int64 and ``numbers`` (N, 2F) float32: values, then missing flags."""
        return field_arrays(column, state)

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token, or one a field after it.

        Raises:
            DataError: the heads do not share the width evenly.
        """
        width, heads = int(params["width"]), int(params["heads"])
        if width % heads:
            raise DataError(
                f"ft_transformer's width must be a multiple of its heads, the parameters give "
                f"width {width} and {heads} heads; change one of them in the study file"
            )
        fields = len(state["numeric"]) + len(state["categories"])
        return FeatureSpec(1 if params["pool"] == "cls" else 1 + fields, width)

    def build(self, state: State, params: Params) -> nn.Module:
        """``codes`` (B, C), ``numbers`` (B, 2F) -> tokens (B, 1 or 1 + F + C, width)."""
        import torch
        from torch import nn

        shape, numeric, counts = (
            self.features(state, params),
            len(state["numeric"]),
            code_counts(state),
        )

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                scale = shape.dim**-0.5
                self.summary = nn.Parameter(scale * torch.randn(shape.dim))
                if numeric:  # (3, F, D): a value's direction, its start, and a missing one
                    self.numbers = nn.Parameter(scale * torch.randn(3, numeric, shape.dim))
                self.embeddings = nn.ModuleList(
                    nn.Embedding(n, shape.dim, _weight=scale * torch.randn(n, shape.dim))
                    for n in counts
                )
                self.layers = nn.ModuleList(_layer(params) for _ in range(int(params["layers"])))
                self.norm = nn.LayerNorm(shape.dim)

            def fields(self, codes: Tensor | None, numbers: Tensor | None) -> Tensor:
                parts = []
                if numbers is not None:
                    value, gone = numbers.view(-1, 2, numeric, 1).unbind(1)
                    direction, start, missing = self.numbers
                    parts.append((value * direction + start) * (1 - gone) + gone * missing)
                if codes is not None:
                    found = zip(self.embeddings, codes.T, strict=True)
                    parts.append(torch.stack([embed(code) for embed, code in found], dim=1))
                return torch.cat(parts, dim=1)

            def forward(self, codes: Tensor | None = None, numbers: Tensor | None = None) -> Tokens:
                values = self.fields(codes, numbers)
                first = self.summary.expand(len(values), 1, -1)
                values = torch.cat([first, values], dim=1)
                for layer in self.layers:
                    values = layer(values)
                values = self.norm(values[:, : shape.tokens])
                mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, mask)

        return Model()


def _layer(params: Params) -> nn.Module:
    """Self-attention and a feed-forward part, each behind its norm: (B, T, D) -> (B, T, D).

    Attention is written out: the fused kernel has no rule for models trained side by side.
    """
    import torch
    from torch import nn

    width, heads, dropout = int(params["width"]), int(params["heads"]), float(params["dropout"])

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            self.inputs = nn.Linear(width, 3 * width)
            self.output = nn.Linear(width, width)
            self.dropout = nn.Dropout(dropout)
            self.feed = nn.Sequential(
                nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(2 * width, width),
            )  # fmt: skip

        def attend(self, values: Tensor) -> Tensor:
            split = self.inputs(values).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            query, key, value = split.unbind(0)  # (B, heads, T, D / heads)
            scores = query @ key.transpose(2, 3) / (width / heads) ** 0.5
            weights = self.dropout(torch.softmax(scores, dim=-1))
            joined: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
            return joined

        def forward(self, values: Tensor) -> Tensor:
            values = values + self.attend(self.norms[0](values))
            changed: Tensor = self.feed(self.norms[1](values))
            return values + changed

    return Layer()
