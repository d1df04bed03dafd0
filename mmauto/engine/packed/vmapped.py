"""The general form: `torch.vmap` over stacked parameters, for whatever it can trace."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.objective import objective, optional
from mmauto.engine.once import precision
from mmauto.engine.packed.form import Form, Gradients, UnfitError, gradients_of, trained
from mmauto.engine.packed.leaves import stacked
from mmauto.values import Batch


class Vmapped(Form):
    """One model's code over K sets of parameters and buffers; parts that rest are shared.

    Raises:
        UnfitError: a regulariser changes gradients, which happens outside of the model, or the
            targets are balanced, for which each trial needs gradients of its own.
    """

    name = "vmapped"

    def __init__(self, models: Sequence[MultimodalModel], loss: TaskLoss):
        super().__init__(models, loss)
        first = self.models[0]
        if any(optional(r, "after_backward") for r in first.regularisers):
            raise UnfitError("a regulariser changes gradients")
        if first.weights.balances:
            raise UnfitError("the weights of several targets follow their gradients")
        self.whole = _Objective(first, loss)
        names = [name for name, p in self.whole.named_parameters() if p.requires_grad]
        each = [trained(model) for model in self.models]
        self.stacks = [stacked(peers) for peers in zip(*each, strict=True)]
        self.params: dict[str, Tensor] = dict(zip(names, self.stacks, strict=True))
        held = [dict(model.named_buffers()) for model in self.models]
        self.buffers = {f"model.{n}": stacked([own[n] for own in held]).data for n in held[0]}

    def mode(self, training: bool) -> None:
        """Of the first model, whose code runs."""
        self.models[0].train(training)

    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """See `Form.gradients`."""

        def one(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> Any:
            return functional_call(self.whole, {**params, **buffers}, (arrays, batch))

        with precision(batch.index.device):
            values = self._each(one)
        return gradients_of(
            values, torch.autograd.grad(values.sum(), self.stacks, allow_unused=True)
        )

    def outputs(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Form.outputs`."""

        def one(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> dict[str, Tensor]:
            named = {n.removeprefix("model."): v for n, v in {**params, **buffers}.items()}
            return dict(functional_call(self.models[0], named, (arrays, present)).outputs)

        found: dict[str, Tensor] = self._each(one)
        return found

    def _each(self, one: Callable[..., Any]) -> Any:
        """What a function of one trial's parameters and buffers gives for all, ``(K, ...)``."""
        with warnings.catch_warnings():
            # of operators that run trial by trial; what they cost is measured before a form is used
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            # all trials draw from one seed, so one by one they would draw the same numbers
            return torch.vmap(one, randomness="same")(self.params, self.buffers)


class _Objective(nn.Module):
    """The objective as a module's forward, which is what `functional_call` can call."""

    def __init__(self, model: MultimodalModel, loss: TaskLoss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, arrays: Arrays, batch: Batch) -> Tensor:
        return objective(self.model, arrays, batch, self.loss)[0]
