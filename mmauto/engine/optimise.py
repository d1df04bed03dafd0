"""Optimisers and learning-rate schedules by name, for the trials of a pack side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmauto.space import Params

CLIP = 1.0
BETAS, EPS, MOMENTUM = (0.9, 0.999), 1e-8, 0.9


class Optimiser:
    """AdamW (default), Adam or SGD for each trial of a pack, with its own rate and decay.

    PyTorch's own fused kernels, one call for all of a trial's tensors that decay alike, without the
    bookkeeping around them, which costs more than the update where models are small. Gradients are
    clipped to the norm `CLIP` inside the kernel; a step whose gradient is not finite is left out.
    Parameters of one dimension (norms, biases, absent tokens) do not decay.

    Args:
        params: each trial's ``train/optimiser`` (the same), ``train/lr``, ``train/weight_decay``.
        trained: each trial's parameters; updated in place.
        rates: a factor of the learning rate for each of a trial's parameters; 1 unless given.
    """

    def __init__(
        self,
        params: Sequence[Params],
        trained: Sequence[Sequence[Tensor]],
        rates: Sequence[float] = (),
    ):
        self.kind = str(params[0]["train/optimiser"])
        self.steps = torch.zeros((), device=trained[0][0].device)
        self.trials = []
        for own, tensors in zip(params, trained, strict=True):
            each = rates or [1.0] * len(tensors)
            kinds = [(t.ndim > 1, rate) for t, rate in zip(tensors, each, strict=True)]
            groups = []
            for decays, rate in dict.fromkeys(kinds):
                places = [n for n, kind in enumerate(kinds) if kind == (decays, rate)]
                groups.append(
                    _Group(
                        places, float(own["train/weight_decay"]) if decays else 0.0, rate,
                        [tensors[place].detach() for place in places],
                    )
                )  # fmt: skip
            self.trials.append(_Trial(float(own["train/lr"]), groups))

    def keep(self, places: Sequence[int], trained: Sequence[Sequence[Tensor]]) -> None:
        """Go on with some of the trials, whose parameters now stand at ``trained``."""
        self.trials = [self.trials[place] for place in places]
        for trial, tensors in zip(self.trials, trained, strict=True):
            for group in trial.groups:
                group.params = [tensors[place].detach() for place in group.places]

    @torch.no_grad()
    def step(self, slots: Sequence[Sequence[Tensor | None]], norms: Tensor, factor: float) -> None:
        """Update the parameters.

        Args:
            slots: a trial's gradients, one a parameter, None where it took no part.
            norms: ``(K,)``, of all gradients of a trial together.
            factor: of the learning rates, from the schedule.
        """
        self.steps += 1
        bad = (~norms.isfinite()).float().unbind()
        scales = (norms / CLIP).clamp(min=1.0).unbind()
        for place, (trial, grads) in enumerate(zip(self.trials, slots, strict=True)):
            for group in trial.groups:
                given = [grads[n] for n in group.places]
                used = [n for n, grad in enumerate(given) if grad is not None]
                if used:
                    self._update(
                        group.of(used), [given[n] for n in used],
                        lr=factor * trial.lr * group.rate, grad_scale=scales[place],
                        found_inf=bad[place],
                    )  # fmt: skip

    def _update(self, group: _Group, grads: list[Any], **common: Any) -> None:
        common |= {"weight_decay": group.decay, "maximize": False}
        if self.kind == "sgd":
            torch._fused_sgd_(
                group.params, grads, group.averages, momentum=MOMENTUM, dampening=0.0,
                nesterov=True, is_first_step=False, **common,
            )  # fmt: skip
            return
        kernel = torch._fused_adamw_ if self.kind == "adamw" else torch._fused_adam_
        kernel(
            group.params, grads, group.averages, group.squares, [],
            [self.steps] * len(grads), amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], eps=EPS,
            **common,
        )  # fmt: skip


@dataclass
class _Trial:
    lr: float
    groups: list[_Group]


@dataclass
class _Group:
    """Parameters of one trial that decay and move alike, and what the optimiser knows of them.

    Attributes:
        places: where they stand among the trial's parameters.
        rate: a factor of the trial's learning rate.
    """

    places: list[int]
    decay: float
    rate: float
    params: list[Tensor]
    averages: list[Tensor] = field(default_factory=list)
    squares: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.averages = self.averages or [torch.zeros_like(p) for p in self.params]
        self.squares = self.squares or [torch.zeros_like(p) for p in self.params]

    def of(self, used: Sequence[int]) -> _Group:
        """Some of them."""
        if len(used) == len(self.params):
            return self
        params, averages, squares = (
            [kept[n] for n in used] for kept in (self.params, self.averages, self.squares)
        )
        places = [self.places[n] for n in used]
        return _Group(places, self.decay, self.rate, params, averages, squares)


@dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then cosine to zero, or constant: a factor of the learning rate."""

    warm: int
    steps: int
    cosine: bool

    @classmethod
    def of(cls, params: Params, steps: int) -> Schedule:
        """``train/warm_up`` (10 % of the steps by default) and ``train/schedule``."""
        warm = round(float(params.get("train/warm_up", 0.1)) * steps)
        return cls(warm, steps, params["train/schedule"] == "cosine")

    def factor(self, step: int) -> float:
        """At a step, from 0."""
        if step < self.warm:
            return (step + 1) / self.warm
        if not self.cosine:
            return 1.0
        done = (step - self.warm) / max(1, self.steps - self.warm)
        return 0.5 * (1 + math.cos(math.pi * done))
