"""What the terms share: a weight that grows over a warm-up, and features to compare by pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mmauto.plugin import (
    Batch,
    FeatureSpec,
    Float,
    Forward,
    FusionResult,
    Params,
    Space,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTH = 64
"""Of the space in which modalities of unequal width are compared."""


def strength_space(low: float, high: float, default: float) -> Space:
    """The term's weight, and the share of training over which it grows from zero."""
    return {
        "weight": Float(low, high, default, log=True, packs=True),
        "warm_up": Float(0.0, 0.5, 0.1, packs=True),
    }


def strength(params: Params) -> nn.Module:
    """A module with ``forward(progress, terms) -> ()``: weight x ramp x the mean of the terms.

    With an empty list of terms (one modality has no pairs) it gives zero, with None weight x ramp.
    """
    import torch
    from torch import nn

    class Strength(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight: Tensor
            self.warm_up: Tensor
            for name in ("weight", "warm_up"):
                self.register_buffer(name, torch.tensor(float(params[name])))

        def forward(self, progress: float, terms: Sequence[Tensor] | None = None) -> Tensor:
            # a warm-up of zero must not divide
            now = self.weight * ((progress + 1e-6) / (self.warm_up + 1e-6)).clamp(max=1.0)
            return now if terms is None else now * total(terms, now)

    return Strength()


class Pair(NamedTuple):
    """Two modalities' features of the same rows.

    Attributes:
        one, two: ``(B, D)``.
        both: ``(B,)`` floats, 1 where both samples are there.
        here: ``(B,)`` floats each, 1 where that sample is there.
    """

    one: Tensor
    two: Tensor
    both: Tensor
    here: tuple[Tensor, Tensor]


def pairs(vectors: Mapping[str, Tensor], batch: Batch) -> Iterator[Pair]:
    """Each pair of modalities, in the order of their keys."""
    for one, two in itertools.combinations(sorted(vectors), 2):
        a, b = vectors[one], vectors[two]
        # single precision even under autocast: rows are counted with them
        here = batch.present[one].float(), batch.present[two].float()
        yield Pair(a, b, here[0] * here[1], here)


def total(terms: Sequence[Tensor], like: Tensor) -> Tensor:
    """The mean of some scalars; zero where there are none."""
    return sum(terms, like.new_zeros(())) / max(1, len(terms))


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """``(B,), (B,) -> ()``, zero where no weight is."""
    return (values * weights).sum() / weights.sum().clamp(min=1.0)


def projections(features: Mapping[str, FeatureSpec], width: int = WIDTH) -> nn.Module:
    """A module ``{key: tokens} -> {key: (B, width)}``: a linear layer a modality on mean tokens."""
    from torch import nn

    keys = sorted(features)

    class Projections(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)

        def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tensor]:
            return {k: f(tokens[k].mean()) for k, f in zip(keys, self.layers, strict=True)}

    return Projections()


def same_width(features: Mapping[str, FeatureSpec]) -> nn.Module:
    """A module ``{key: tokens} -> {key: (B, D)}``: mean tokens as they are, where widths agree.

    A layer between features and a distance would let the layer shrink instead of the distance; it
    is there only where the adapters leave unequal widths.
    """
    from torch import nn

    if len({spec.dim for spec in features.values()}) > 1:
        return projections(features)

    class Means(nn.Module):
        def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tensor]:
            return {key: tokens[key].mean() for key in sorted(tokens)}

    return Means()


def pair_term(vectors: nn.Module, params: Params, term: Callable[[Pair], Tensor]) -> nn.Module:
    """A module whose ``loss`` is the mean of a term over pairs of modalities.

    Args:
        vectors: ``{key: tokens} -> {key: (B, D)}``, see `projections` and `same_width`.
        term: a pair of features -> ``()``.
    """
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vectors, self.strength = vectors, strength(params)

        def loss(
            self,
            result: FusionResult,
            batch: Batch,
            tokens: Mapping[str, Tokens],
            forward: Forward,
        ) -> Tensor:
            terms = [term(pair) for pair in pairs(self.vectors(tokens), batch)]
            value: Tensor = self.strength(batch.progress, terms)
            return value

    return Model()
