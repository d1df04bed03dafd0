"""Shared factors and codes from which the modalities' features are rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    Choice,
    FeatureSpec,
    Forward,
    FusionResult,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_training.strength import mean_over, strength, strength_space

if TYPE_CHECKING:
    from torch import Tensor, nn


class MatrixFactorisation(Regulariser):
    """One vector of factors a row, times a matrix a modality, explains each modality's features.

    The factors are the mean of linear maps of the modalities that are there; features are first
    brought to mean 0 and variance 1 a row, so that shrinking them gains nothing.
    """

    name = "matrix_factorisation"
    relates = True
    summary = "shared factors explain the features of every modality"
    reference = "Singh and Gordon 2008, Collective Matrix Factorization, KDD"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up and the number of factors."""
        return {**strength_space(0.01, 1.0, 0.1), "factors": Choice((4, 8, 16), 8)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        keys, count = sorted(features), int(params["factors"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.strength = strength(params)
                self.read = nn.ModuleList(nn.Linear(features[k].dim, count) for k in keys)
                self.explain = nn.ModuleList(nn.Linear(count, features[k].dim) for k in keys)

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                here = torch.stack([batch.present[key] for key in keys]).to(torch.float32)
                given = [F.layer_norm(m, m.shape[-1:]) for m in (tokens[k].mean() for k in keys)]
                read = [f(part) for f, part in zip(self.read, given, strict=True)]
                weighted = (torch.stack(read) * here.unsqueeze(-1)).sum(0)
                factors = weighted / here.sum(0).clamp(min=1.0).unsqueeze(-1)  # (B, factors)
                terms = [
                    mean_over((f(factors) - part).square().mean(-1), flag)
                    for f, part, flag in zip(self.explain, given, here, strict=True)
                ]
                value: Tensor = self.strength(batch.progress, terms)
                return value

        return Model()


class Reconstruction(Regulariser):
    """An autoencoder over all modalities: a narrow code of what is there gives everything back.

    The code reads the features of the modalities that are there; what it must give back is
    detached, so that features cannot become easy instead of informative.
    """

    name = "reconstruction"
    summary = "an autoencoder's term: a joint code gives the features of each modality back"
    reference = "Ngiam et al. 2011, Multimodal Deep Learning, ICML"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up and the code's width."""
        return {**strength_space(0.01, 1.0, 0.1), "code": Choice((16, 32, 64), 32)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        keys, width = sorted(features), int(params["code"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.strength = strength(params)
                whole = sum(features[key].dim for key in keys)
                self.encode = nn.Sequential(nn.Linear(whole, width), nn.GELU())
                self.decode = nn.ModuleList(nn.Linear(width, features[k].dim) for k in keys)

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                given = {key: tokens[key].mean() for key in keys}
                seen = [given[key].where(batch.present[key].unsqueeze(-1), 0.0) for key in keys]
                code = self.encode(torch.cat(seen, dim=-1))
                terms = []
                for key, decode in zip(keys, self.decode, strict=True):
                    wanted = F.layer_norm(given[key].detach(), given[key].shape[-1:])
                    error = (decode(code) - wanted).square().mean(-1)
                    terms.append(mean_over(error, batch.present[key].to(error.dtype)))
                value: Tensor = self.strength(batch.progress, terms)
                return value

        return Model()
