"""What a training step minimises: the task's loss with every plugin's own terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmauto.engine.jobs import Candidate
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel
from mmauto.values import Batch, FusionResult, Tokens


class NotFiniteError(Exception):
    """The loss or a prediction is NaN or infinite: the trial cannot go on.

    Attributes:
        component: (kind, name) of the first component whose numbers are not finite, where known.
    """

    def __init__(self, text: str, component: tuple[str, str] | None = None):
        super().__init__(text)
        self.component = component


def optional(module: nn.Module, method: str) -> Callable[..., Any] | None:
    """A method that the contract leaves to the plugin, or None where it has none."""
    found = getattr(module, method, None)
    return found if callable(found) else None


class Again:
    """`mmauto.values.Forward` of a model in training."""

    def __init__(self, model: MultimodalModel, loss: TaskLoss):
        self.model, self.loss = model, loss

    def __call__(self, tokens: Mapping[str, Tokens], batch: Batch) -> FusionResult:
        """The fusion's result."""
        return self.model.fuse(tokens, batch.present)

    def task_loss(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """{target: (B, width)} -> (B,)."""
        value: Tensor = self.model.weights(self.loss.each(outputs, batch), batch.observed)
        return value

    def balance(self, result: FusionResult, batch: Batch) -> None:
        """Let weights that depend on gradients see this step's."""
        if not self.model.weights.balances:
            return
        losses = self.loss.each(result.outputs, batch)
        self.model.weights.balance(
            {name: loss.mean() for name, loss in losses.items()}, result.fused
        )


def objective(
    model: MultimodalModel,
    arrays: Mapping[str, Mapping[str, Tensor]],
    batch: Batch,
    loss: TaskLoss,
) -> tuple[Tensor, FusionResult, Batch]:
    """The scalar to minimise: the task's loss, the fusion's own terms and the regularisers'."""
    tokens = model.tokens(arrays, batch.present)
    for regulariser in model.regularisers:
        if before := optional(regulariser, "before"):
            tokens, batch = before(tokens, batch)
    forward = Again(model, loss)
    result = forward(tokens, batch)
    forward.balance(result, batch)

    def task_loss(outputs: Mapping[str, Tensor]) -> Tensor:
        return forward.task_loss(outputs, batch)

    own = optional(model.fusion, "objective")
    value: Tensor = own(result, batch, task_loss) if own else task_loss(result.outputs).mean()
    terms = list(result.losses.values())
    terms += [term for part in tokens.values() for term in part.losses.values()]
    terms += [
        extra(result, batch, tokens, forward)
        for regulariser in model.regularisers
        if (extra := optional(regulariser, "loss"))
    ]
    for term in terms:
        value = value + term
    return value, result, batch


def first_odd(
    model: MultimodalModel,
    arrays: Mapping[str, Mapping[str, Tensor]],
    batch: Batch,
    loss: TaskLoss,
    candidate: Candidate,
) -> tuple[str, str]:
    """(kind, name) of the first component that makes a number that is not finite.

    Weights that went bad make an encoder's tokens bad too; then it is the fusion, where they met.
    """
    forward = Again(model, loss)
    with torch.no_grad():
        tokens = model.tokens(arrays, batch.present)
        for place, key in enumerate(model.keys):
            own = model.encode(place, arrays[key]).values[batch.present[key]]
            if not bool(own.isfinite().all()):
                return "encoder", candidate.encoder(key)
        result = forward(tokens, batch)
        names = zip(candidate.regularisers, model.regularisers, strict=True)
        for name, module in names if _finite(result) else ():
            extra = optional(module, "loss")
            if extra and not bool(extra(result, batch, tokens, forward).isfinite()):
                return "regulariser", name
    return "fusion", candidate.component


def _finite(result: FusionResult) -> bool:
    return all(bool(value.isfinite().all()) for value in result.outputs.values())


def augmented(
    model: MultimodalModel,
    arrays: Mapping[str, Mapping[str, Tensor]],
    generator: torch.Generator,
) -> dict[str, Mapping[str, Tensor]]:
    """Arrays after the encoders' own augmentation, where they have one."""
    changed = dict(arrays)
    for key, front in zip(model.keys, model.encoders, strict=True):
        if augment := optional(front, "augment"):
            changed[key] = augment(arrays[key], generator)
    return changed
