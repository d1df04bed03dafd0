"""What the ways of training a pack have in common, and the plain one: one model after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.objective import objective, optional
from mmauto.engine.once import precision
from mmauto.engine.random_state import alike
from mmauto.values import Batch

EVALUATION_ROWS = 2048
"""So many rows are predicted at once, those of all models of a pack counted."""


@dataclass(frozen=True)
class Gradients:
    """One step's result for K trials.

    Attributes:
        losses: ``(K,)``, detached.
        norms: ``(K,)``, of all gradients of a trial together.
        slots: K times a gradient (or None) a trained parameter.
    """

    losses: Tensor
    norms: Tensor
    slots: Sequence[Sequence[Tensor | None]]


class UnfitError(Exception):
    """These models cannot be trained in this form."""


class Form(ABC):
    """A way to compute the gradients and outputs of K models of the same shapes on one batch.

    The models stay the truth: a form reads their parameters, or shares memory with them.

    Args:
        models: K of them, on the device.

    Attributes:
        at_once: rows that are predicted at once; fewer where they were once too many.
    """

    name: ClassVar[str]

    def __init__(self, models: Sequence[MultimodalModel], loss: TaskLoss):
        self.models, self.loss = list(models), loss
        self.at_once = max(1, EVALUATION_ROWS // len(self.models))

    @abstractmethod
    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """One training step of every model on the same batch; nothing is updated."""

    @abstractmethod
    def outputs(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Target -> ``(K, B, width)``; the caller has turned gradients off."""

    def shared_buffers(self) -> list[Tensor]:
        """Buffers of one model that stand for all: a step that changes them mixes trials."""
        return []

    @abstractmethod
    def mode(self, training: bool) -> None:
        """Training or evaluation."""


class Alone(Form):
    """One model after another: what every other form must agree with."""

    name = "alone"

    def __init__(self, models: Sequence[MultimodalModel], loss: TaskLoss):
        super().__init__(models, loss)
        self.trained = [trained(model) for model in models]

    def mode(self, training: bool) -> None:
        """Of every model."""
        for model in self.models:
            model.train(training)

    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """See `Form.gradients`."""
        losses, slots = [], []
        for model, own in alike(zip(self.models, self.trained, strict=True)):
            for parameter in own:
                parameter.grad = None
            with precision(batch.index.device):
                value, result, after = objective(model, arrays, batch, self.loss)
            value.backward()  # type: ignore[no-untyped-call]
            for regulariser in model.regularisers:
                if change := optional(regulariser, "after_backward"):
                    change(result, after, model.groups())
            losses.append(value.detach())
            slots.append([parameter.grad for parameter in own])
        norms = [nn.utils.get_total_norm([g for g in grads if g is not None]) for grads in slots]
        return Gradients(torch.stack(losses), torch.stack(norms), slots)

    def outputs(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Form.outputs`."""
        found = [dict(model(arrays, present).outputs) for model in self.models]
        return {name: torch.stack([part[name] for part in found]) for name in found[0]}


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def gradients_of(values: Tensor, found: Sequence[Tensor | None]) -> Gradients:
    """Stacked gradients ``(K, ...)``, told apart by trial."""
    count = len(values)
    # the optimiser walks memory, where a transposed gradient would meet the wrong parameters, and
    # scales in place, which one that serves two parameters would suffer twice
    whole, seen = [], set()
    for gradient in found:
        own = None if gradient is None else gradient.contiguous()
        if own is not None and own.data_ptr() in seen:
            own = own.clone()
        seen.add(None if own is None else own.data_ptr())
        whole.append(own)
    sizes = [g.view(count, -1).norm(dim=1) for g in whole if g is not None]
    parts = [[None] * count if g is None else g.unbind() for g in whole]
    return Gradients(
        values.detach(),
        torch.stack(sizes).norm(dim=0),
        [list(slot) for slot in zip(*parts, strict=True)],
    )
