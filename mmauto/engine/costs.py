"""What a trained model costs to use."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from mmauto.engine.features import Inputs, all_cores, precision
from mmauto.engine.model import MultimodalModel, count

REPEATS = 7
SIZES = (1, 64)


def latencies(
    model: MultimodalModel, inputs: Mapping[str, Inputs], rows: np.ndarray
) -> tuple[float, float, int]:
    """Milliseconds for batches of 1 and 64 rows from prepared arrays, and frozen parameters.

    Frozen encoders run too: a prediction on new data needs them, cached features or not.
    """
    device = next(iter(inputs.values())).present.device
    frozen = {key: part.build().to(device).eval() for key, part in inputs.items() if part.frozen}
    # raw decoding is left out: it is the same for every arm and is the reader's cost
    ready = {
        size: {k: p.prepare(np.resize(rows, size)) for k, p in inputs.items()} for size in SIZES
    }

    def once(size: int) -> None:
        arrays = {}
        for key, batch in ready[size].items():
            if key in frozen:
                tokens = frozen[key](**batch)
                arrays[key] = {"values": tokens.values, "mask": tokens.mask}
            else:
                arrays[key] = batch
        index = torch.from_numpy(np.resize(rows, size)).to(device)
        model(arrays, {key: part.present.index_select(0, index) for key, part in inputs.items()})

    model.eval()
    with torch.inference_mode(), precision(device), all_cores():
        one, many = (_median_ms(partial(once, size), device) for size in SIZES)
    return one, many, sum(count(module, trainable=False) for module in frozen.values())


def _median_ms(call: Callable[[], None], device: torch.device) -> float:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


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
