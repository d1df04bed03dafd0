"""What to do where memory is short: smaller packs first, then batches in parts.

A step that does not fit is tried again with half as many rows, those of all trials of a pack
counted: a pack becomes two, and a single trial's batch is trained in parts whose gradients are
summed (`mmauto.engine.packed.parts`). What fits is remembered, so that later packs of the same
shapes begin there. The hyper-parameters stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmauto.engine.batches import Data
from mmauto.engine.digests import digest
from mmauto.engine.model import MultimodalModel
from mmauto.engine.objective import optional
from mmauto.engine.packed.choose import machine
from mmauto.engine.packed.form import trained
from mmauto.engine.random_state import free_memory
from mmauto.engine.remember import Memory

SAFE = 0.9
"""Share of a device's free memory that a step may take: what is cut into pieces is lost."""

NORM_ROWS = 4
"""The fewest rows of a part where there are norms over batches: from fewer, a part of one may be
left over."""

T = TypeVar("T")


class WholeBatchError(Exception):
    """A batch is too large for the memory, and its parts would train something else."""


class TooLargeError(torch.OutOfMemoryError):
    """A step that would be out of memory, known before it is."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was short, on whatever device."""
    # torch reports a failed allocation on a CPU as a plain RuntimeError
    failed = isinstance(error, RuntimeError) and "not enough memory" in str(error)
    return failed or isinstance(error, torch.OutOfMemoryError | MemoryError)


@dataclass(frozen=True)
class Room:
    """How many rows, those of all trials together, one step of these shapes may have.

    Attributes:
        memory: where the limit of each shape is remembered.
        shape: the shapes and the device, as one text.
        trials, rows: of the pack, and of its batches.
        least: the fewest rows of a part: a few where norms need them, the whole batch where
            something compares its rows.
        whole: what that is, in words; empty where there is nothing.
        norms: norms over batches see one part at a time.
    """

    memory: Memory
    shape: str
    trials: int
    rows: int
    least: int = 1
    whole: str = ""
    norms: bool = False

    @property
    def limit(self) -> int | None:
        """Rows that are known to fit, where more were once too many."""
        found = self.memory.get(self.shape)
        return found if isinstance(found, int) and found > 0 else None

    @property
    def part(self) -> int:
        """So many rows of a batch are trained at once; a pack of several trains all."""
        limit = self.limit
        if self.trials > 1 or limit is None or limit >= self.rows:
            return self.rows
        return max(limit, min(self.least, self.rows))

    def check(self) -> None:
        """Refuse a pack of which is known that it is too large.

        Raises:
            TooLargeError: it is.
        """
        limit = self.limit
        if self.trials > 1 and limit is not None and limit < self.trials * self.rows:
            raise TooLargeError(
                f"a step may have {limit} rows here, as more were out of memory before, "
                f"{self.trials} trials with batches of {self.rows} have more"
            )

    @property
    def divisible(self) -> bool:
        """Whether something smaller can be tried."""
        return self.trials > 1 or self.part // 2 >= self.least

    def probe(self, step: Callable[[], object], later: int, device: torch.device) -> None:
        """Take a step; refuse a pack that leaves no reserve and can be made smaller.

        Args:
            later: bytes that training takes afterwards.

        Raises:
            TooLargeError: it leaves none.
        """
        if not leaves_room(step, later, device) and self.divisible:
            raise TooLargeError(
                f"a step may take {SAFE:.0%} of the device's free memory, one of {self.trials} "
                f"trials with {self.part} rows each takes more"
            )

    def halve(self) -> bool:
        """Remember that this was too much; whether something smaller can be tried."""
        if not self.divisible:
            return False
        tried = self.trials * self.part
        self.memory.put(self.shape, lambda kept: min(kept or tried, max(1, tried // 2)))
        return True


def room_for(
    file: Memory, model: MultimodalModel, data: Data, trials: int, rows: int, device: torch.device
) -> Room:
    """The room of a pack of models like this one.

    Args:
        rows: of its batches.
    """
    read = {
        key: [[name, list(array.shape[1:]), str(array.dtype)] for name, array in part.items()]
        for key, part in data.arrays.items()
    }
    names = [sorted(model.names.items()), [type(module).__name__ for module in model.modules()]]
    weights = [list(parameter.shape) for parameter in trained(model)]
    whole, norms = compares_rows(model), has_norms(model)
    least = rows if whole else NORM_ROWS if norms else 1
    shape = digest([names, weights, read, machine(device)])
    return Room(file, shape, trials, rows, least, whole, norms)


def compares_rows(model: MultimodalModel) -> str:
    """What makes a step on a batch another thing than steps on its parts; empty if nothing does.

    A fusion's own terms are seen in training alone; see `mmauto.engine.packed.parts`.
    """
    if model.weights.balances:
        return "the targets are weighed by the gradients of a whole batch"
    for regulariser in model.regularisers:
        if any(optional(regulariser, hook) for hook in ("before", "loss", "after_backward")):
            return "its regulariser looks at a whole batch"
    if optional(model.fusion, "objective"):
        return "its fusion's objective looks at a whole batch"
    return ""


def has_norms(model: nn.Module) -> bool:
    """Whether something takes its statistics from the batch while it trains."""
    was = model.training
    model.train(True)  # tuned encoders keep theirs in evaluation
    found = any(isinstance(m, _BatchNorm) and m.training for m in model.modules())
    model.train(was)
    return found


def fits(before: int, peak: int, later: int, available: int) -> bool:
    """Whether a step leaves a reserve.

    Args:
        before, peak: bytes allocated before the step, and at most during it.
        later: bytes that training takes afterwards, e.g. for its best state.
        available: bytes that were still to be had before the step.
    """
    return peak - before + later <= SAFE * available


def leaves_room(step: Callable[[], object], later: int, device: torch.device) -> bool:
    """Take a step on a CUDA device; whether it `fits`."""
    before = torch.cuda.memory_allocated(device)
    free, _ = torch.cuda.mem_get_info(device)
    available = free + torch.cuda.memory_reserved(device) - before
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return fits(before, torch.cuda.max_memory_allocated(device), later, available)


def state_bytes(model: nn.Module) -> int:
    """Bytes of a copy of a model's state."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


def halving(work: Callable[[int], T], rows: int) -> tuple[T, int]:
    """``work(rows)``, with half as many rows as often as memory is short; and the rows that fitted.

    Raises:
        Exception: whatever else the work raises, and out of memory with one row.
    """
    while True:
        try:
            return work(rows), rows
        except Exception as error:
            if not out_of_memory(error) or rows == 1:
                raise
        rows = max(1, rows // 2)
        free_memory()  # by now the error is gone, and what it held
