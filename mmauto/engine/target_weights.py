"""How the losses of several targets are weighed against each other: by name, one module each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

ALPHA, RATE = 1.5, 0.025
"""GradNorm's pull towards equal training rates, and the step of its weights."""


class Fixed(nn.Module):
    """Every target's loss counts once.

    Attributes:
        balances: `balance` must see each step's gradients.
    """

    balances = False

    def forward(self, losses: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        """{target: (B,)}, {target: (B,)} -> (B,)."""
        return torch.stack(list(losses.values())).sum(0)

    def balance(self, means: Mapping[str, Tensor], fused: Tensor | None) -> None:
        """Nothing to learn."""


class Uncertainty(Fixed):
    """``exp(-s) loss + s / 2`` with a learned log variance ``s`` a target.

    Source: Kendall et al. 2018, Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = list(names)
        self.log_variance = nn.Parameter(torch.zeros(len(names)))

    def forward(self, losses: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        """{target: (B,)}, {target: (B,)} -> (B,)."""
        logs = dict(zip(self.names, self.log_variance, strict=True))
        parts = [
            (-logs[n]).exp() * loss + 0.5 * logs[n] * observed[n].to(loss.dtype)
            for n, loss in losses.items()
        ]
        return torch.stack(parts).sum(0)


class GradNorm(Fixed):
    """Weights under which all targets train at like rates, by gradients on the fused vector.

    A target whose loss has fallen less than the others' gets a larger share of the gradient at
    ``FusionResult.fused``. Fusions without one (late ones) keep equal weights.

    Source: Chen et al. 2018, GradNorm: Gradient Normalization for Adaptive Loss Balancing, ICML.
    """

    balances = True

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = list(names)
        self.weights: Tensor
        self.first: Tensor
        self.register_buffer("weights", torch.ones(len(names)))
        self.register_buffer("first", torch.zeros(len(names)))

    def forward(self, losses: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        """{target: (B,)}, {target: (B,)} -> (B,)."""
        weights = dict(zip(self.names, self.weights, strict=True))
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum(0)

    def balance(self, means: Mapping[str, Tensor], fused: Tensor | None) -> None:
        """One step of the weights; {target: ()} mean losses and the fused vector they come from."""
        if fused is None or not fused.requires_grad:
            return
        slopes = [torch.autograd.grad(means[n], fused, retain_graph=True)[0] for n in self.names]
        with torch.no_grad():
            sizes = torch.stack([slope.norm() for slope in slopes])
            now = torch.stack([means[name].detach() for name in self.names])
            self.first.copy_(torch.where(self.first > 0, self.first, now))
            progress = now / self.first.clamp(min=1e-6)
            # a target without a label in this batch tells nothing of its progress
            # (indexing by a mask would make the host wait for the device)
            told = now > 0
            usual = torch.where(told, progress, 0.0).sum() / told.sum().clamp(min=1)
            progress = torch.where(told, progress, usual)
            rate = progress / progress.mean().clamp(min=1e-6)
            seen = self.weights * sizes
            wanted = seen.mean() * rate**ALPHA
            step = (seen - wanted).sign() * sizes / sizes.mean().clamp(min=1e-12)
            fresh = (self.weights - RATE * step).clamp(min=0.05)
            self.weights.copy_(fresh * len(fresh) / fresh.sum())


def target_weights(kind: str, names: Sequence[str]) -> Fixed:
    """``fixed``, ``uncertainty`` or ``gradnorm``; one target alone needs no weight."""
    if len(names) < 2 or kind == "fixed":
        return Fixed()
    return Uncertainty(names) if kind == "uncertainty" else GradNorm(names)
