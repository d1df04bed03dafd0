"""A form's step as a CUDA graph: one launch a step, where hundreds of small kernels would wait.

A graph repeats what was recorded, on the memory that it was recorded with (PyTorch notes, "CUDA
Graphs"): each step's batch is copied there first, its share of training done included. Code that
asks the device for a number cannot be recorded, and a form that does is not used
(`mmauto.engine.packed.choose`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.packed.folded import Folded
from mmauto.engine.packed.form import Form, Gradients
from mmauto.engine.packed.vmapped import Vmapped
from mmauto.engine.random_state import random_state, set_random_state
from mmauto.values import Batch

WARM_UP = 3
"""Steps before recording, in which libraries choose their kernels and take their memory."""

Step = Callable[[], Gradients]


def record(step: Step) -> tuple[Gradients, Callable[[], None]]:
    """A step's results, and what computes them anew in the same memory."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    return found, graph.replay


class Graphed(Form):
    """Another form, whose steps on batches of the first one's shape are repeated from a graph."""

    inner: ClassVar[type[Form]]

    def __init__(self, models: Sequence[MultimodalModel], loss: TaskLoss):
        super().__init__(models, loss)
        self.form = self.inner(models, loss)
        self.fixed: tuple[Arrays, Batch] | None = None
        self.found: Gradients
        self.again: Callable[[], None]

    def mode(self, training: bool) -> None:
        """Of the form."""
        self.form.mode(training)

    def shared_buffers(self) -> list[Tensor]:
        """See `Form.shared_buffers`."""
        return self.form.shared_buffers()

    def outputs(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Form.outputs`; not recorded, since it runs once an epoch on large batches."""
        return self.form.outputs(arrays, present)

    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """See `Form.gradients`; what it gives is overwritten by the next step."""
        if self.fixed is None:
            self._record(arrays, batch)
        assert self.fixed is not None
        held = _tensors(*self.fixed)
        given = _tensors(arrays, _with_tensor(batch))
        if _shapes(held) != _shapes(given):  # the last batch of an epoch
            return self.form.gradients(arrays, batch)
        for name, tensor in given.items():
            held[name].copy_(tensor)
        self.again()
        return self.found

    def _record(self, arrays: Arrays, batch: Batch) -> None:
        kept, still = self.fixed = mapped(arrays, _with_tensor(batch), torch.clone)
        start = random_state()
        buffers = [*self.form.shared_buffers()]
        buffers += [buffer for model in self.models for buffer in model.buffers()]
        before = [buffer.clone() for buffer in buffers]
        self.found, self.again = record(lambda: self.form.gradients(kept, still))
        set_random_state(start)
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


class GraphedFolded(Graphed):
    """`Folded`, repeated from a graph."""

    name, inner = "graphed folded", Folded


class GraphedVmapped(Graphed):
    """`Vmapped`, repeated from a graph."""

    name, inner = "graphed vmapped", Vmapped


def _with_tensor(batch: Batch) -> Batch:
    """The share of training done on the device: a number would be recorded as it is."""
    progress = torch.full((), batch.progress, dtype=torch.float32, device=batch.index.device)
    # arithmetic on it is what components do; one that needs a Python number cannot be recorded
    return replace(batch, progress=cast(float, progress))


def mapped(
    arrays: Arrays, batch: Batch, change: Callable[[Tensor], Tensor]
) -> tuple[Arrays, Batch]:
    """A batch, its rows changed alike in all its tensors."""

    def each(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: change(tensor) for name, tensor in part.items()}

    return {key: each(part) for key, part in arrays.items()}, replace(
        batch,
        present=each(batch.present),
        targets=each(batch.targets),
        observed=each(batch.observed),
        index=change(batch.index),
    )


def _tensors(arrays: Arrays, batch: Batch) -> dict[tuple[str, str], Tensor]:
    parts: dict[str, Any] = {f"arrays/{key}": part for key, part in arrays.items()}
    parts |= {name: getattr(batch, name) for name in ("present", "targets", "observed")}
    parts["batch"] = {"index": batch.index, "progress": batch.progress}
    return {(place, name): t for place, part in parts.items() for name, t in part.items()}


def _shapes(tensors: Mapping[tuple[str, str], Tensor]) -> dict[tuple[str, str], Any]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
