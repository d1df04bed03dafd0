"""Terms on perturbed features: adversarial examples, and pseudo labels for unlabelled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    Choice,
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
from mmauto_training.strength import strength, strength_space

if TYPE_CHECKING:
    from torch import Tensor, nn


class AdversarialTraining(Regulariser):
    """The task's loss on features moved where it grows fastest.

    ``steps`` = 1 is FGSM, more are PGD: signed steps of the gradient on the tokens, kept within
    ``radius`` times each modality's own deviation.
    """

    name = "adversarial_training"
    summary = "trains on features moved to where the loss grows fastest (FGSM, PGD)"
    reference = "Goodfellow et al. 2015, FGSM, ICLR; Madry et al. 2018, PGD, ICLR"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up, radius in deviations, and steps."""
        return {
            **strength_space(0.1, 1.0, 0.5),
            "radius": Float(0.01, 0.5, 0.1, log=True, packs=True),
            "steps": Choice((1, 3)),
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

        keys, steps = sorted(features), int(params["steps"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.strength = strength(params)
                self.radius: Tensor
                self.register_buffer("radius", torch.tensor(float(params["radius"])))

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                with torch.no_grad():
                    reach = [self.radius * tokens[k].values.std(unbiased=False) for k in keys]
                shift = [torch.zeros_like(tokens[k].values) for k in keys]
                for _ in range(steps):
                    tried = [part.detach().requires_grad_() for part in shift]
                    start = {k: replace(tokens[k], values=tokens[k].values.detach()) for k in keys}
                    result = forward(moved(start, keys, tried), batch)
                    here = forward.task_loss(result.outputs, batch).mean()
                    slopes = torch.autograd.grad(here, tried, allow_unused=True)
                    shift = [
                        part if slope is None else (part + far * slope.sign()).clamp(-far, far)
                        for part, slope, far in zip(shift, slopes, reach, strict=True)
                    ]
                result = forward(moved(tokens, keys, shift), batch)
                worst = forward.task_loss(result.outputs, batch).mean()
                value: Tensor = self.strength(batch.progress, [worst])
                return value

        return Model()


class PseudoLabels(Regulariser):
    """Rows without a label learn from what the model is sure of.

    Where the prediction on clean features passes ``threshold``, it is the label of the same row
    with a share of its features dropped (weak and strong views). Regression targets have no
    sureness and are left alone. With it a search keeps a table's unlabelled rows, in train.
    """

    name = "pseudo_labels"
    unlabelled = True
    summary = "unlabelled rows learn from the model's own sure predictions"
    reference = "Lee 2013, Pseudo-Label, ICML Workshops; Sohn et al. 2020, FixMatch, NeurIPS"

    def space(self, task: TaskView) -> Space:
        """Weight, warm-up, how sure a prediction must be, and the share of features dropped."""
        return {
            **strength_space(0.1, 3.0, 1.0),
            "threshold": Float(0.6, 0.99, 0.9, packs=True),
            "drop": Float(0.1, 0.5, 0.3, packs=True),
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

        keys = sorted(features)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.strength = strength(params)
                self.threshold: Tensor
                self.drop: Tensor
                for name in ("threshold", "drop"):
                    self.register_buffer(name, torch.tensor(float(params[name])))

            def loss(
                self,
                result: FusionResult,
                batch: Batch,
                tokens: Mapping[str, Tokens],
                forward: Forward,
            ) -> Tensor:
                labels, sure = {}, {}
                for name, spec in targets.items():
                    label, confident = guess(result.outputs[name].detach(), spec, self.threshold)
                    labels[name] = label.to(batch.targets[name].dtype)
                    sure[name] = confident & ~batch.observed[name]
                noisy = {key: self.thinned(tokens[key]) for key in keys}
                taught = replace(batch, targets=labels, observed=sure, mix=None)
                loss = forward.task_loss(forward(noisy, taught).outputs, taught)
                value: Tensor = self.strength(batch.progress, [loss.mean()])
                return value

            def thinned(self, part: Tokens) -> Tokens:
                keep = torch.rand_like(part.values) >= self.drop
                return replace(part, values=part.values * keep / (1 - self.drop))

        return Model()


def moved(
    tokens: Mapping[str, Tokens], keys: Sequence[str], shift: Sequence[Tensor]
) -> dict[str, Tokens]:
    """The tokens with ``(B, T, D)`` added to their values."""
    return {
        key: replace(tokens[key], values=tokens[key].values + by)
        for key, by in zip(keys, shift, strict=True)
    }


def guess(output: Tensor, spec: TargetSpec, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest label of each row, and ``(B,)`` whether it is sure."""
    import torch

    if spec.kind == "multiclass":
        chance, label = output.softmax(-1).max(-1)
        return label, chance >= threshold
    if spec.kind == "regression":
        return output[:, 0], torch.zeros(len(output), dtype=torch.bool, device=output.device)
    yes = output.sigmoid()
    sure = (torch.maximum(yes, 1 - yes) >= threshold).all(-1)
    label = (yes > 0.5).to(output.dtype)
    return (label if spec.kind == "multilabel" else label[:, 0]), sure
