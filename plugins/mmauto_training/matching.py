"""Distances between the distributions of two modalities' features, which training shrinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    FeatureSpec,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
)
from mmauto_training.strength import Pair, pair_term, same_width, strength_space

if TYPE_CHECKING:
    from torch import Tensor, nn

MOMENTS = 5


class Coral(Regulariser):
    """Squared difference of the modalities' feature covariances, over 4 D^2."""

    name = "coral"
    relates = True
    summary = "matches the covariance of the modalities' features"
    reference = "Sun and Saenko 2016, Deep CORAL, ECCV Workshops"

    def space(self, task: TaskView) -> Space:
        """Weight and warm-up."""
        return strength_space(0.1, 100.0, 1.0)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        return pair_term(same_width(features), params, coral)


class Cmd(Regulariser):
    """Central moment discrepancy: differences of the first five central moments.

    Features go through a sigmoid first, so that they lie in an interval of length 1.
    """

    name = "cmd"
    relates = True
    summary = "matches the first five central moments of the modalities' features"
    reference = "Zellinger et al. 2017, Central Moment Discrepancy (CMD), ICLR"

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
        return pair_term(same_width(features), params, cmd)


class Mmd(Regulariser):
    """Squared maximum mean discrepancy with Gaussian kernels of five widths.

    The widths are 1/4 to 4 times the batch's mean squared distance.
    """

    name = "mmd"
    relates = True
    summary = "shrinks the maximum mean discrepancy of the modalities' features"
    reference = "Gretton et al. 2012, A Kernel Two-Sample Test, JMLR; Long et al. 2015, DAN, ICML"

    def space(self, task: TaskView) -> Space:
        """Weight and warm-up."""
        return strength_space(0.01, 3.0, 0.2)

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss``."""
        return pair_term(same_width(features), params, mmd)


def moments(values: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, D), (B,)`` -> mean ``(D,)`` and deviations ``(B, D)``, zero where rows do not count."""
    weight = here.unsqueeze(-1)
    mean = (values * weight).sum(0) / weight.sum().clamp(min=1.0)
    return mean, (values - mean) * weight


def coral(pair: Pair) -> Tensor:
    """``||C1 - C2||^2 / 4 D^2``; zero unless each modality has two rows."""
    spreads = []
    for values, here in zip((pair.one, pair.two), pair.here, strict=True):
        _, apart = moments(values, here)
        spreads.append(apart.T @ apart / (here.sum() - 1).clamp(min=1.0))
    dim = pair.one.shape[-1]
    return (spreads[0] - spreads[1]).square().sum() / (4 * dim**2) * _enough(pair)


def cmd(pair: Pair) -> Tensor:
    """The sum of the lengths of the differences of mean and central moments 2 to 5."""
    found = []
    for values, here in zip((pair.one, pair.two), pair.here, strict=True):
        mean, apart = moments(values.sigmoid(), here)
        rows = here.sum().clamp(min=1.0)
        found.append([mean, *(apart.pow(k).sum(0) / rows for k in range(2, MOMENTS + 1))])
    # the length of a zero vector has no gradient
    lengths = [
        ((a - b).square().sum() + 1e-12).sqrt() for a, b in zip(found[0], found[1], strict=True)
    ]
    return sum(lengths[1:], lengths[0]) * _enough(pair)


def mmd(pair: Pair) -> Tensor:
    """``E k(x, x') + E k(y, y') - 2 E k(x, y)``, the biased estimate."""
    import torch

    values = torch.cat([pair.one, pair.two])
    here = torch.cat(pair.here)
    both = here.unsqueeze(0) * here.unsqueeze(1)
    squares = (values.unsqueeze(0) - values.unsqueeze(1)).square().sum(-1)
    width = ((squares * both).sum() / both.sum().clamp(min=1.0)).detach().clamp(min=1e-6)
    kernel = sum(
        ((-squares / (width * factor)).exp() for factor in (0.5, 1.0, 2.0, 4.0)),
        (-squares / (width * 0.25)).exp(),
    )
    # rows of the first count 1 / n, those of the second -1 / m
    shares = [part / part.sum().clamp(min=1.0) for part in pair.here]
    signed = torch.cat([shares[0], -shares[1]])
    value: Tensor = (signed @ kernel @ signed) / 5 * _enough(pair)
    return value


def _enough(pair: Pair) -> Tensor:
    """1 where each modality has two rows or more: fewer have no distribution."""
    fewest = pair.here[0].sum().minimum(pair.here[1].sum())
    return (fewest >= 2).to(fewest.dtype)
