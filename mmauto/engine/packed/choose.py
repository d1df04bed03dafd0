"""Which form trains a pack: one that agrees with training alone, and is the fastest measured.

What was measured is remembered beside the feature cache, by the shapes, the sizes and the machine,
so that the same search takes the same way again.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mmauto.engine.digests import digest
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.once import precision
from mmauto.engine.packed.folded import Folded
from mmauto.engine.packed.form import Alone, Form, Gradients, trained
from mmauto.engine.packed.graphed import Graphed, GraphedFolded, GraphedVmapped, mapped
from mmauto.engine.packed.vmapped import Vmapped
from mmauto.engine.random_state import (
    RandomState,
    random_state,
    set_random_state,
    untouched,
)
from mmauto.engine.remember import Memory
from mmauto.values import Batch

ANYWHERE: Sequence[type[Form]] = (Folded, Vmapped)
ON_CUDA: Sequence[type[Form]] = (GraphedFolded, GraphedVmapped)
EVERY: Sequence[type[Form]] = (Alone, *ANYWHERE, *ON_CUDA)
FORMS: Mapping[str, type[Form]] = {form.name: form for form in EVERY}
REPEATS = 3
TOLERANCE = 1e-3
"""Of a parameter's gradient, in single precision; bf16 keeps eight bits of a number."""
COARSE = 5e-2


def choose(
    models: Sequence[MultimodalModel],
    loss: TaskLoss,
    arrays: Arrays,
    batch: Batch,
    memory: Path,
) -> Form:
    """The form for these models; random streams and buffers are left as they were found.

    Args:
        arrays, batch: a batch of the size that training will read.
        memory: the file of earlier measurements.
    """
    if len(models) == 1:
        return Alone(models, loss)
    sample = _Sample(arrays, batch, random_state())
    known = Memory(memory)
    key = signature(models, batch)
    with untouched(models):
        name = known.get(key)
        name = name if name in FORMS else None
        usable: list[Form] = [Alone(models, loss)]
        wanted = sample.step(usable[0]), sample.outputs(usable[0])
        for other in _others(batch.index.device):
            if name in (None, other.name):
                form = _agreeing(other, models, loss, sample, wanted)
                usable += [form] if form else []
        if name is None:
            usable.sort(key=lambda form: _seconds(form, sample))
            best = usable[0].name
            name = known.put(key, lambda kept: kept or best)
        chosen = next((form for form in usable if form.name == name), usable[0])
    # a form that was tried later has taken the parameters with it
    return FORMS[chosen.name](models, loss)


@dataclass(frozen=True)
class _Sample:
    """What the forms are tried on: a batch, and the random stream that each begins with."""

    arrays: Arrays
    batch: Batch
    start: RandomState

    def step(self, form: Form) -> Gradients:
        form.mode(True)
        set_random_state(self.start)
        return form.gradients(self.arrays, self.batch)

    def later(self) -> _Sample:
        """The same rows in another order, in the middle of training."""
        order = torch.arange(len(self.batch.index), device=self.batch.index.device).roll(1)
        arrays, batch = mapped(self.arrays, self.batch, lambda rows: rows.index_select(0, order))
        return _Sample(arrays, replace(batch, progress=0.5), self.start)

    def outputs(self, form: Form) -> dict[str, Tensor]:
        form.mode(False)
        with torch.inference_mode(), precision(self.batch.index.device):
            return form.outputs(self.arrays, self.batch.present)


def _agreeing(
    kind: type[Form],
    models: Sequence[MultimodalModel],
    loss: TaskLoss,
    sample: _Sample,
    wanted: tuple[Gradients, Mapping[str, Tensor]],
) -> Form | None:
    """The form, if it takes these models and gives each of them its own step and outputs."""
    try:
        form = kind(models, loss)
        before = [buffer.clone() for buffer in form.shared_buffers()]
        found, outputs = sample.step(form), sample.outputs(form)
        same = all(map(torch.equal, before, form.shared_buffers()))
        coarse = any(models[0].convolves) or _coarse(sample.batch.index.device)
        same = same and agree(wanted[0], found, coarse)
        if same and isinstance(form, Graphed):  # what was recorded must not stand still
            later = sample.later()
            same = agree(later.step(form.form), later.step(form), coarse)
    except Exception:  # whatever a plugin's code raises when it meets another form: not this one
        return None
    limit = COARSE if coarse else TOLERANCE
    same = same and all(near(wanted[1][n], outputs[n], limit) for n in wanted[1])
    return form if same else None


def _others(device: torch.device) -> Sequence[type[Form]]:
    """The forms beside `Alone` that a device has."""
    return (*ANYWHERE, *ON_CUDA) if device.type == "cuda" else ANYWHERE


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


def _coarse(device: torch.device) -> bool:
    """Whether the device trains in bf16."""
    with precision(device):
        return torch.is_autocast_enabled(device.type)


def _seconds(form: Form, sample: _Sample) -> float:
    best = math.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        norms = sample.step(form).norms
        norms.cpu()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return best


def signature(models: Sequence[MultimodalModel], batch: Batch) -> str:
    """What the speed of the forms depends on: shapes, sizes, the machine."""
    first = models[0]
    return digest(
        [
            sorted(first.names.items()),
            [type(module).__name__ for module in first.modules()],
            [list(parameter.shape) for parameter in trained(first)],
            1 << (len(models) - 1).bit_length(),
            len(batch.index),
            machine(batch.index.device),
            torch.get_num_threads(),
            torch.__version__,
        ]
    )


def machine(device: torch.device) -> str:
    """The processor's or the graphics card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
