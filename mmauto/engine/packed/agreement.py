"""Whether a form gives each trial of a pack the step and the outputs that it has alone.

All trials of a pack begin with the weights of one seed, and a form that mixed them would go unseen
there: they are compared in the middle of training, where each has weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.once import precision
from mmauto.engine.packed.form import Alone, Form, Gradients, trained
from mmauto.engine.packed.graphed import Graphed, mapped
from mmauto.engine.random_state import (
    RandomState,
    random_state,
    set_random_state,
    untouched,
)
from mmauto.values import Batch

TOLERANCE = 1e-3
"""Of a parameter's gradient, in single precision; bf16 keeps eight bits of a number."""
COARSE = 5e-2
MIDDLE, LATER = 0.5, 0.9
"""Shares of training: at its start, a term that warms up would not be seen."""
SHIFT = 0.5
"""How far weights are moved at most, in units of a tensor's root mean square."""
SHIFT_OF_ZEROS = 0.1
"""The root mean square that a tensor of zeros is given."""


class Sample:
    """What forms are tried on: a batch in the middle of training, its random draws, the answers.

    Args:
        arrays, batch: a batch of the size that training will read.
    """

    def __init__(
        self, models: Sequence[MultimodalModel], loss: TaskLoss, arrays: Arrays, batch: Batch
    ):
        self.models, self.loss, self.device = models, loss, batch.index.device
        self.first = _Part(arrays, replace(batch, progress=MIDDLE), random_state())
        with untouched(models):
            alone = Alone(models, loss)
            self.wanted = self.first.step(alone), self.first.outputs(alone)
            self.buffers = [b.clone() for model in models for b in model.buffers()]

    def step(self, form: Form) -> Gradients:
        """One training step of a form; nothing is updated."""
        return self.first.step(form)

    def agreeing(self, kind: type[Form]) -> Form | None:
        """The form, if it takes the models and gives each of them its own step and outputs."""
        try:
            with untouched(self.models):  # every form finds the buffers that the others found
                form = kind(self.models, self.loss)
                return form if self._agrees(form) else None
        except Exception:  # whatever a plugin's code raises when it meets another form: not this
            return None

    def _agrees(self, form: Form) -> bool:
        before = [buffer.clone() for buffer in form.shared_buffers()]
        found, outputs = self.first.step(form), self.first.outputs(form)
        if not all(map(torch.equal, before, form.shared_buffers())):
            return False
        left = [b for model in self.models for b in model.buffers()]
        coarse = any(self.models[0].convolves) or _coarse(self.device)
        # what a step leaves in a buffer is read by the next one, which is not tried
        same = agree(self.wanted[0], found, coarse) and _alike(self.buffers, left, coarse)
        if same and isinstance(form, Graphed):  # what was recorded must not stand still
            later = self.first.later()
            same = agree(later.step(form.form), later.step(form), coarse)
        limit = COARSE if coarse else TOLERANCE
        return same and all(near(own, outputs[name], limit) for name, own in self.wanted[1].items())


@dataclass(frozen=True)
class _Part:
    """A batch, and the random stream that each form begins with."""

    arrays: Arrays
    batch: Batch
    start: RandomState

    def step(self, form: Form) -> Gradients:
        form.mode(True)
        set_random_state(self.start)
        return form.gradients(self.arrays, self.batch)

    def later(self) -> _Part:
        """The same rows in another order, at the end of training."""
        order = torch.arange(len(self.batch.index), device=self.batch.index.device).roll(1)
        arrays, batch = mapped(self.arrays, self.batch, lambda rows: rows.index_select(0, order))
        return _Part(arrays, replace(batch, progress=LATER), self.start)

    def outputs(self, form: Form) -> dict[str, Tensor]:
        form.mode(False)
        with torch.inference_mode(), precision(self.batch.index.device):
            return form.outputs(self.arrays, self.batch.present)


@contextmanager
def unlike(models: Sequence[MultimodalModel]) -> Iterator[None]:
    """Give each model weights of its own, as steps of its own would; put all back at the end.

    All are moved the same way, each by another length; torch's random stream stays where it is.
    """
    held = [(p, p.detach().clone()) for model in models for p in trained(model)]
    try:
        _move([trained(model) for model in models])
        yield
    finally:
        with torch.no_grad():
            for parameter, before in held:
                parameter.copy_(before)


@torch.no_grad()
def _move(parameters: Sequence[Sequence[nn.Parameter]]) -> None:
    draws = {p.device: torch.Generator(p.device).manual_seed(0) for p in parameters[0]}
    for peers in zip(*parameters, strict=True):
        first = peers[0]
        size = first.square().mean().sqrt()
        noise = torch.empty_like(first).uniform_(-1.0, 1.0, generator=draws[first.device])
        noise *= SHIFT * torch.where(size > 0, size, SHIFT_OF_ZEROS)
        for place, parameter in enumerate(peers):
            parameter.add_(noise, alpha=(place + 1) / len(peers))


def near(wanted: Tensor, found: Tensor, limit: float) -> bool:
    """Equal ``(K, B, width)`` outputs of every model but for rounding."""
    far = (wanted - found).flatten(1).norm(dim=1)
    return bool((far <= limit * wanted.flatten(1).norm(dim=1).clamp(min=1e-2)).all())


def agree(wanted: Gradients, found: Gradients, coarse: bool = False) -> bool:
    """Equal losses and gradients but for rounding."""
    limit = COARSE if coarse else TOLERANCE
    if not torch.allclose(wanted.losses, found.losses, rtol=limit, atol=limit * 1e-2):
        return False
    for size, right, given in zip(wanted.norms, wanted.slots, found.slots, strict=True):
        for one, other in zip(right, given, strict=True):
            if one is None or other is None:
                if one is not other:
                    return False
                continue
            # the least that counts: what is zero but for rounding cannot be compared with itself
            allowed = limit * (one.norm() + 1e-2 * size)
            if not bool((one - other).norm() <= allowed):
                return False
    return True


def _alike(wanted: Sequence[Tensor], found: Sequence[Tensor], coarse: bool) -> bool:
    """Equal buffers but for rounding, whatever their types."""
    limit = COARSE if coarse else TOLERANCE
    pairs = [(one.double(), other.double()) for one, other in zip(wanted, found, strict=True)]
    return all(bool((a - b).norm() <= limit * a.norm().clamp(min=1e-2)) for a, b in pairs)


def _coarse(device: torch.device) -> bool:
    """Whether the device trains in bf16."""
    with precision(device):
        return torch.is_autocast_enabled(device.type)
