"""What the host puts between encoders, fusion and targets: adapters and output heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmauto.values import FeatureSpec, HeadFactory, TargetSpec, Tokens


class DomainAdapter(nn.Module):
    """A low-rank residual for each domain behind the shared projection; none for code 0.

    ``x + U_d V_d x + b_d`` (residual adapters, Rebuffi et al. 2017), zero at the start, so that
    training begins with what the domains share.
    """

    def __init__(self, width: int, count: int):
        super().__init__()
        rank = min(RANK, width)
        self.down = nn.Parameter(torch.randn(count + 1, width, rank) / width**0.5)
        self.up = nn.Parameter(torch.zeros(count + 1, rank, width))
        self.bias = nn.Parameter(torch.zeros(count + 1, width))

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        """(B, T, width), (B,) domains from 1 -> (B, T, width)."""
        own = values @ self.down[code] @ self.up[code] + self.bias[code].unsqueeze(1)
        return values + own * (code > 0).to(values.dtype)[:, None, None]


RANK = 8


class Adapter(nn.Module):
    """Projects one modality's tokens to a shared width and replaces absent rows.

    Linear + LayerNorm to ``width`` (0: identity); the rows of an absent sample hold one learned
    absent token, which beats zero filling (see DESIGN), so their values cannot reach the output.
    """

    def __init__(self, dim: int, width: int, domains: int = 0):
        super().__init__()
        self.width = width or dim
        self.domain = DomainAdapter(self.width, domains) if domains else None
        self.project = (
            nn.Sequential(nn.Linear(dim, width), nn.LayerNorm(width)) if width else nn.Identity()
        )
        self.absent = nn.Parameter(torch.zeros(self.width))
        nn.init.normal_(self.absent, std=0.02)

    def forward(self, tokens: Tokens, present: Tensor, code: Tensor | None = None) -> Tokens:
        """(B, T, dim), (B,), (B,) domains from 1 -> (B, T, width)."""
        values = self.project(tokens.values)
        if self.domain is not None and code is not None:
            values = self.domain(values, code)
        return Tokens(values, tokens.mask, tokens.losses, self.absent).without(~present)


class Heads(nn.Module):
    """One linear output a target."""

    def __init__(self, dim: int, targets: Mapping[str, TargetSpec]):
        super().__init__()
        self.names = list(targets)
        # targets are columns of the user's table: their names may hold what ModuleDict forbids
        self.linears = nn.ModuleList(nn.Linear(dim, spec.width) for spec in targets.values())

    def forward(self, fused: Tensor) -> dict[str, Tensor]:
        """(B, dim) -> {target: (B, width)}."""
        return {name: linear(fused) for name, linear in zip(self.names, self.linears, strict=True)}


class LinearHeads(HeadFactory):
    """The host's `HeadFactory`."""

    def __init__(self, targets: Mapping[str, TargetSpec]):
        self.targets = targets

    def __call__(self, dim: int) -> nn.Module:
        """A module ``(B, dim) -> {target: (B, width)}``."""
        return Heads(dim, self.targets)


def adapt(
    features: Mapping[str, FeatureSpec], width: int, domains: int = 0
) -> tuple[nn.ModuleList, dict[str, FeatureSpec]]:
    """An adapter a modality, in the order of ``features``, and the specs behind them."""
    adapters = nn.ModuleList(Adapter(spec.dim, width, domains) for spec in features.values())
    after = {key: FeatureSpec(spec.tokens, width or spec.dim) for key, spec in features.items()}
    return adapters, after
