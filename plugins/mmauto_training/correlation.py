"""Terms that make one modality's features predict the other's: correlation, VICReg, angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    FeatureSpec,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
)
from mmauto_training.strength import (
    Pair,
    mean_over,
    pair_term,
    projections,
    same_width,
    strength_space,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class Cca(Regulariser):
    """Deep canonical correlation: the share of correlation that two projections still lack.

    ``1 - ||S11^-1/2 S12 S22^-1/2||_F^2 / k`` on ``k``-dimensional linear projections, with a ridge
    on the covariances: the mean squared correlation, which needs no decomposition. Whitening is by
    Cholesky factors: it differs from the symmetric one by a rotation, which changes no singular
    value.
    """

    name = "cca"
    relates = True
    summary = "maximises the canonical correlations of the modalities (Deep CCA)"
    reference = "Andrew et al. 2013, Deep Canonical Correlation Analysis, ICML"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up and the number of correlations."""
        return {**strength_space(0.01, 3.0, 0.2), "dim": Choice((2, 4, 8), 4)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        return pair_term(projections(features, int(params["dim"])), params, uncorrelated)


class VicReg(Regulariser):
    """Invariance, variance and covariance on expanded features, in the paper's proportions 25:25:1.

    Paired features come close, each dimension keeps a deviation of 1, dimensions stay uncorrelated.
    """

    name = "vicreg"
    relates = True
    summary = "paired features agree, keep their variance and stay uncorrelated (VICReg)"
    reference = "Bardes et al. 2022, VICReg, ICLR"

    def space(self, task: TaskView) -> Space:
        """Weight and warm-up."""
        return strength_space(0.001, 0.3, 0.02)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        return pair_term(projections(features), params, vicreg)


class Collinearity(Regulariser):
    """One minus the squared cosine of a row's two features: zero where one is a multiple of the
    other, in either direction.
    """

    name = "collinearity"
    relates = True
    summary = "penalises the angle between a row's features of two modalities"
    reference = "after linear alignment, Mikolov et al. 2013, arXiv 1309.4168"

    def space(self, task: TaskView) -> Space:
        """Weight and warm-up."""
        return strength_space(0.001, 1.0, 0.05)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        return pair_term(same_width(features), params, angle)


RIDGE = 1e-2


def angle(pair: Pair) -> Tensor:
    """The mean of ``1 - cosine^2``."""
    from torch.nn import functional as F

    return mean_over(1 - F.cosine_similarity(pair.one, pair.two, dim=-1) ** 2, pair.both)


def vicreg(pair: Pair) -> Tensor:
    """Invariance, variance and covariance in the proportions 25:25:1."""
    apart = mean_over((pair.one - pair.two).square().mean(-1), pair.both)
    return 25 * apart + variance_term(pair.one, pair.both) + variance_term(pair.two, pair.both)


def uncorrelated(pair: Pair) -> Tensor:
    """What two samples lack to full correlation, 0 to 1."""
    return 1 - correlation(pair)


def correlation(pair: Pair) -> Tensor:
    """The mean squared canonical correlation of two ``(B, k)`` samples, 0 to 1."""
    import torch

    # half precision would round by more than the ridge
    with torch.autocast(pair.one.device.type, enabled=False):
        return _correlation(pair.one.float(), pair.two.float(), pair.both.float())


def _correlation(one: Tensor, two: Tensor, both: Tensor) -> Tensor:
    import torch

    rows, weight = both.sum().clamp(min=1.0), both.unsqueeze(-1)
    one, two = ((x - (x * weight).sum(0) / rows) * weight for x in (one, two))
    size = one.shape[-1]
    eye = torch.eye(size, device=one.device)
    # scaled to unit variance, so that the ridge means the same at any scale
    one, two = (x / (x.square().sum() / (rows * size) + 1e-6).sqrt() for x in (one, two))
    lower1, lower2 = (torch.linalg.cholesky_ex(x.T @ x / rows + RIDGE * eye).L for x in (one, two))
    left = torch.linalg.solve_triangular(lower1, one.T @ two / rows, upper=False)
    whitened = torch.linalg.solve_triangular(lower2, left.T, upper=False)
    share: Tensor = whitened.square().sum() / size
    return share


def variance_term(values: Tensor, here: Tensor) -> Tensor:
    """``(B, D), (B,) ->`` 25 x the mean shortfall of deviations below 1, plus the covariances."""
    import torch

    rows, weight = here.sum().clamp(min=1.0), here.unsqueeze(-1)
    centred = (values - (values * weight).sum(0) / rows) * weight
    covariance = centred.T @ centred / (rows - 1).clamp(min=1.0)
    deviation = (covariance.diagonal() + 1e-4).sqrt()
    eye = torch.eye(len(covariance), device=values.device)
    crossed = (covariance * (1 - eye)).square().sum() / len(covariance)
    return 25 * torch.relu(1 - deviation).mean() + crossed
