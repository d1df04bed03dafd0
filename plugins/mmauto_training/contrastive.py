"""Contrastive alignment: the two samples of a row are nearer than samples of different rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    FeatureSpec,
    Float,
    Forward,
    FusionResult,
    Params,
    Regulariser,
    Space,
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_training.strength import (
    Pair,
    mean_over,
    pair_term,
    pairs,
    projections,
    same_width,
    strength,
    strength_space,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


class InfoNce(Regulariser):
    """Symmetric cross-entropy over a batch's cosine similarities divided by a temperature.

    Rows in which a modality is absent are neither positives nor negatives.
    """

    name = "infonce"
    relates = True
    summary = "contrastive alignment of modalities: softmax over the batch (CLIP)"
    reference = "Radford et al. 2021, CLIP, ICML; van den Oord et al. 2018, InfoNCE"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up and temperature."""
        return {
            **strength_space(0.01, 1.0, 0.1),
            "temperature": Float(0.02, 0.5, 0.1, log=True, packs=True),
        }

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

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project, self.strength = projections(features), strength(params)
                self.temperature: Tensor
                self.register_buffer("temperature", torch.tensor(float(params["temperature"])))

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                vectors = {k: F.normalize(v, dim=-1) for k, v in self.project(tokens).items()}
                terms = [self.term(pair) for pair in pairs(vectors, batch)]
                value: Tensor = self.strength(batch.progress, terms)
                return value

            def term(self, pair: Pair) -> Tensor:
                scores = pair.one @ pair.two.T / self.temperature  # (B, B)
                # not -inf: a column that is out everywhere must stay finite
                out = torch.where(pair.both.bool(), 0.0, -1e4)
                sides = (scores + out).logsumexp(-1) + (scores.T + out).logsumexp(-1)
                return mean_over(0.5 * sides - scores.diagonal(), pair.both)

        return Model()


class Sigmoid(Regulariser):
    """A yes/no question for each pair of samples in the batch: do they belong to one row?

    With a learned scale and bias, as in the paper; needs no large batch.
    """

    name = "sigmoid"
    relates = True
    summary = "contrastive alignment of modalities: a yes/no loss for each pair (SigLIP)"
    reference = "Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training (SigLIP), ICCV"

    def space(self, task: TaskView) -> Space:
        """Weight and warm-up."""
        return strength_space(0.01, 1.0, 0.1)

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

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project, self.strength = projections(features), strength(params)
                self.log_scale = nn.Parameter(torch.tensor(10.0).log())
                self.bias = nn.Parameter(torch.tensor(-10.0))

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                vectors = {k: F.normalize(v, dim=-1) for k, v in self.project(tokens).items()}
                terms = [self.term(pair) for pair in pairs(vectors, batch)]
                # with one modality there is no pair, yet each parameter has its gradient
                idle = 0.0 * (self.log_scale + self.bias)
                value: Tensor = self.strength(batch.progress, terms) + idle
                return value

            def term(self, pair: Pair) -> Tensor:
                scores = pair.one @ pair.two.T * self.log_scale.exp() + self.bias
                same = 2 * torch.eye(len(scores), device=scores.device) - 1
                counted = pair.both.unsqueeze(0) * pair.both.unsqueeze(1)
                found = -F.logsigmoid(same * scores) * counted
                return found.sum() / pair.both.sum().clamp(min=1.0)

        return Model()


class PositiveOnly(Regulariser):
    """Symmetric KL divergence between the feature distributions of a row's two modalities.

    Features become distributions by a softmax over their dimensions. Only a row's own pair counts:
    nothing is pushed apart, and no layer stands between that could do the agreeing alone.
    """

    name = "positive_only"
    relates = True
    summary = "a row's modalities agree: symmetric KL between their softmaxed features"
    reference = "Bag of Tricks for Multimodal AutoML 2024, arXiv 2412.16243"

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
        return pair_term(same_width(features), params, disagreement)


def disagreement(pair: Pair) -> Tensor:
    """KL(p, q) + KL(q, p) of a row's two distributions, in one."""
    one, two = pair.one.log_softmax(-1), pair.two.log_softmax(-1)
    return mean_over(((one.exp() - two.exp()) * (one - two)).sum(-1), pair.both)
