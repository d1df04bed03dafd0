"""Which form trains a pack: one that agrees with training alone, and is the fastest measured.

What was measured is remembered beside the feature cache, by the shapes, the sizes and the machine,
so that the same search takes the same way again.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mmauto.engine.digests import digest
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.packed.agreement import Sample, unlike
from mmauto.engine.packed.folded import Folded
from mmauto.engine.packed.form import Alone, Form, trained
from mmauto.engine.packed.graphed import GraphedFolded, GraphedVmapped
from mmauto.engine.packed.vmapped import Vmapped
from mmauto.engine.random_state import untouched
from mmauto.engine.remember import Memory
from mmauto.values import Batch

ANYWHERE: Sequence[type[Form]] = (Folded, Vmapped)
ON_CUDA: Sequence[type[Form]] = (GraphedFolded, GraphedVmapped)
EVERY: Sequence[type[Form]] = (Alone, *ANYWHERE, *ON_CUDA)
FORMS: Mapping[str, type[Form]] = {form.name: form for form in EVERY}
REPEATS = 3


def choose(
    models: Sequence[MultimodalModel],
    loss: TaskLoss,
    arrays: Arrays,
    batch: Batch,
    memory: Path,
) -> Form:
    """The form for these models; weights, buffers and random streams are left as
    they were found.

    Args:
        arrays, batch: a batch of the size that training will read.
        memory: the file of earlier measurements.
    """
    if len(models) == 1:
        return Alone(models, loss)
    known = Memory(memory)
    key = signature(models, batch)
    name = known.get(key)
    name = name if name in FORMS else None
    if name == Alone.name:
        return Alone(models, loss)
    with untouched(models), unlike(models):
        sample = Sample(models, loss, arrays, batch)
        usable: list[Form] = [Alone(models, loss)]
        for other in _others(batch.index.device):
            if name in (None, other.name):
                form = sample.agreeing(other)
                usable += [form] if form else []
        if name is None:
            usable.sort(key=lambda form: _seconds(form, sample))
            best = usable[0].name
            name = known.put(key, lambda kept: kept or best)
        chosen = next((form for form in usable if form.name == name), usable[0])
    # a form that was tried later has taken the parameters with it
    return FORMS[chosen.name](models, loss)


def _others(device: torch.device) -> Sequence[type[Form]]:
    """The forms beside `Alone` that a device has."""
    return (*ANYWHERE, *ON_CUDA) if device.type == "cuda" else ANYWHERE


def _seconds(form: Form, sample: Sample) -> float:
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
