"""Balance between modalities: the one that learns fastest must not stop the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

if TYPE_CHECKING:
    from torch import Tensor, nn


class OgmGe(Regulariser):
    """On-the-fly gradient modulation with generalisation enhancement.

    Where a modality's own outputs are right more often than the others', the gradient of its
    encoder and adapter is scaled by ``1 - tanh(alpha (ratio - 1))``, and noise of the gradient's
    own deviation is added, which keeps the smaller steps as noisy as before.
    """

    name = "ogm_ge"
    relates = True
    summary = "slows the modality that dominates, by its gradient, and adds noise"
    reference = "Peng et al. 2022, Balanced Multimodal Learning via OGM-GE, CVPR"
    needs = frozenset({"per_modality"})

    def space(self, task: TaskView) -> Space:
        """How strongly gradients are modulated, and until which share of training."""
        return {
            "alpha": Float(0.1, 2.0, 0.5, log=True, packs=True),
            "until": Float(0.2, 1.0, 0.8, packs=True),
        }

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``after_backward``."""
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.alpha: Tensor
                self.until: Tensor
                for name in ("alpha", "until"):
                    self.register_buffer(name, torch.tensor(float(params[name])))

            def after_backward(
                self,
                result: FusionResult,
                batch: Batch,
                groups: Mapping[str, Sequence[nn.Parameter]],
            ) -> None:
                assert result.per_modality is not None
                right = {
                    key: torch.stack(
                        [
                            confidence(outputs[name], batch, spec, batch.present[key])
                            for name, spec in targets.items()
                        ]
                    ).mean()
                    for key, outputs in result.per_modality.items()
                }
                active = (batch.progress <= self.until).to(self.alpha.dtype)
                for key, parameters in groups.items():
                    others = [value for name, value in right.items() if name != key]
                    if not others:
                        continue
                    ratio = right[key] / torch.stack(others).mean().clamp(min=1e-6)
                    lead = active * (self.alpha * (ratio - 1).clamp(min=0.0)).tanh()
                    for parameter in parameters:
                        if parameter.grad is not None:
                            grad = parameter.grad
                            deviation = grad.std(unbiased=False) * lead
                            noise = deviation * torch.randn_like(grad)
                            parameter.grad = grad * (1 - lead) + noise

        return Model()


class GradientBlending(Regulariser):
    """Each modality's own loss, weighted by how well it generalises against how much it overfits.

    After each epoch ``w_k = gain_k / overfitting_k^2``, where the gain is the fall of the held-out
    loss since the first epoch and the overfitting the growth of its distance from the train loss.
    The joint loss has weight one, the others their ratio to the joint's, at most ``most``.
    """

    name = "gradient_blending"
    relates = True
    summary = "weighs each modality's own loss by its generalisation against its overfitting"
    reference = "Wang et al. 2020, What Makes Training Multi-Modal Networks Hard? (G-Blend), CVPR"
    needs = frozenset({"per_modality"})

    def space(self, task: TaskView) -> Space:
        """The largest weight of a modality's own loss."""
        return {"most": Float(0.3, 3.0, 1.0, log=True, packs=True)}

    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """A module with ``loss`` and ``epoch``."""
        import torch
        from torch import nn

        keys = sorted(features)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.most: Tensor
                self.weights: Tensor
                self.register_buffer("most", torch.tensor(float(params["most"])))
                self.register_buffer("weights", torch.full((len(keys),), 0.5))
                self.first: dict[str, tuple[float, float]] | None = None

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                assert result.per_modality is not None
                value = self.weights.new_zeros(())
                for weight, key in zip(self.weights, keys, strict=True):
                    own = forward.task_loss(result.per_modality[key], batch)
                    present = batch.present[key].to(own.dtype)
                    value = value + weight.minimum(self.most) * (own * present).mean()
                return value

            def epoch(self, train: Mapping[str, float], held: Mapping[str, float]) -> None:
                if self.first is None:
                    # losses before training would be better, those of the first epoch are at hand
                    self.first = {name: (train[name], held[name]) for name in held}
                    return
                worth = {name: self.worth(name, train[name], held[name]) for name in held}
                found = [min(CAP, worth[k] / max(worth["joint"], 1e-6)) for k in keys]
                self.weights.copy_(torch.tensor(found))

            def worth(self, name: str, train: float, held: float) -> float:
                assert self.first is not None
                train0, held0 = self.first[name]
                gain = max(0.0, held0 - held)
                overfitting = max((held - train) - (held0 - train0), FLOOR)
                return gain / overfitting**2

        return Model()


CAP = 10.0
FLOOR = 0.01
"""Of overfitting, in the loss's unit: below it the estimate is noise."""


def confidence(output: Tensor, batch: Batch, spec: TargetSpec, present: Tensor) -> Tensor:
    """The mean of what the outputs ``(B, width)`` give the true answer, 0 to 1.

    Over the rows in which the modality is there and the label is known.

    A class's probability; for numbers ``exp(-|error|)`` in units of the deviation.
    """
    import torch

    truth = batch.targets[spec.name]
    if spec.kind == "multiclass":
        chance = output.softmax(-1).gather(1, truth.long().unsqueeze(-1))[:, 0]
    elif spec.kind == "regression":
        chance = (-(output[:, 0] - truth).abs()).exp()
    else:
        yes = output.sigmoid() if spec.kind == "multilabel" else output[:, 0].sigmoid()
        chance = torch.where(truth > 0.5, yes, 1 - yes)
        chance = chance.mean(-1) if spec.kind == "multilabel" else chance
    here = (batch.observed[spec.name] & present).to(chance.dtype)
    return ((chance * here).sum() / here.sum().clamp(min=1.0)).detach()
