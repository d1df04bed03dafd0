"""What a trained model costs to use."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmauto.engine.digests import digest
from mmauto.engine.features import Inputs
from mmauto.engine.model import MultimodalModel, count
from mmauto.engine.once import named, precision

SIZES = (1, 64)
REPEATS = 15
ENOUGH_SECONDS = 0.5
"""A figure is the median of `REPEATS` runs, or of those that fit into this time (3 at least); a run
that takes longer is itself the figure."""


class Latency:
    """Measures predictions from prepared arrays; raw decoding is the reader's cost, not a model's.

    On a CPU it uses the training's threads (one), so that workers beside it disturb little. Frozen
    encoders count: a prediction on new data needs them, cached features or not. Each is
    timed once and remembered, since all arms share it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[float, dict[str, Tensor], int]] = {}

    def measure(
        self, model: MultimodalModel, inputs: Mapping[str, Inputs], rows: np.ndarray
    ) -> tuple[float, float, int]:
        """Milliseconds for a batch of 1 and of 64 rows, and parameters of frozen encoders."""
        device = next(iter(inputs.values())).present.device
        model.eval()
        found = []
        frozen = 0
        with torch.inference_mode(), precision(device):
            for size in SIZES:
                pick = np.resize(rows, size)
                arrays: dict[str, dict[str, Tensor]] = {}
                total, frozen = 0.0, 0
                for key, part in inputs.items():
                    spent, arrays[key], parameters = self._once(part, pick)
                    total, frozen = total + spent, frozen + parameters
                index = torch.from_numpy(pick).to(device)
                present = {key: part.present[index] for key, part in inputs.items()}
                total += median_ms(lambda a=arrays, p=present: model(a, p), device)  # type: ignore[misc]
                found.append(total)
        return found[0], found[1], frozen

    def _once(self, part: Inputs, pick: np.ndarray) -> tuple[float, dict[str, Tensor], int]:
        own = digest(dict(part.params))
        key = (id(part.column), part.encoder.name, own, part.form, part.tuned, len(pick))
        if key not in self._known:
            module, arrays = part.once(), part.prepare(pick)
            if module is None:
                return 0.0, arrays, 0
            outputs: list[Any] = []

            def call() -> None:
                outputs[:] = [module(**arrays)]

            spent = median_ms(call, part.present.device)
            self._known[key] = (spent, named(outputs[0]), count(module, trainable=False))
        return self._known[key]


def median_ms(call: Callable[[], object], device: torch.device) -> float:
    """The median time of a call in milliseconds, after one that warms up.

    A call that takes longer than `ENOUGH_SECONDS` has warmed up in its own course.
    """
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    first = 1000 * (time.perf_counter() - start)
    if first > 1000 * ENOUGH_SECONDS:
        return first
    times: list[float] = []
    while len(times) < REPEATS and (len(times) < 3 or sum(times) < 1000 * ENOUGH_SECONDS):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def reset_peak(device: torch.device) -> None:
    """Let `peak_memory` begin anew, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes: the device's peak since the last reset on CUDA, else the process's resident peak."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
