"""What the figures were measured on, its rate of matrix products included."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from mmauto.tuning.crew import cores
from mmauto.tuning.record import environment

SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices that are multiplied; a GPU needs large ones to be busy."""
REPEATS = 7


@dataclass(frozen=True)
class Rate:
    """A measured rate of matrix products.

    Attributes:
        dtype: ``fp32`` or ``bf16``.
        threads: of torch; 0 on a GPU.
        gflops: 10^9 operations a second, a multiplication and an addition being two.
    """

    device: str
    dtype: str
    threads: int
    gflops: float


@dataclass(frozen=True)
class Machine:
    """The machine of a benchmark.

    Attributes:
        cores: those that this process may use.
        memory: bytes.
        device: ``cpu``, or the name of the GPU.
    """

    processor: str
    cores: int
    memory: int
    platform: str
    torch: str
    device: str
    rates: tuple[Rate, ...]

    @property
    def kind(self) -> str:
        """``cpu`` or ``cuda``."""
        return "cpu" if self.device == "cpu" else "cuda"

    @property
    def same(self) -> tuple[str, int, str, str]:
        """What tells machines apart; their rates are measured anew each time."""
        return self.processor, self.cores, self.torch, self.device


def describe(device: str) -> Machine:
    """The machine, measured for about a second.

    Args:
        device: ``cpu`` or ``cuda[:n]``.
    """
    import torch

    about = environment(device)
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else 0
    rates = [
        matrix_rate("cpu", dtype, threads)
        for dtype in ("fp32", "bf16")
        for threads in sorted({1, cores()})
    ]
    name = "cpu"
    if device != "cpu":
        name = torch.cuda.get_device_name(device)
        rates += [matrix_rate(device, dtype, 0) for dtype in ("fp32", "bf16")]
    return Machine(
        about["processor"], cores(), memory, about["platform"], torch.__version__, name,
        tuple(rates),
    )  # fmt: skip


def matrix_rate(device: str, dtype: str, threads: int) -> Rate:
    """The median rate of a few square products, after one that warms up."""
    import torch

    side = SIDE[torch.device(device).type]
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    left = torch.randn(side, side, device=device, dtype=kind)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        left @ left
        times = []
        for _ in range(REPEATS):
            wait(device)
            start = time.perf_counter()
            left @ left
            wait(device)
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return Rate(device, dtype, threads, 2 * side**3 / statistics.median(times) / 1e9)


def others_busy(seconds: float) -> float:
    """Processors that are busy while this process sleeps.

    Unlike the load of the minute before, which holds what this process itself has just done. Where
    there is no ``/proc/stat``, that load.
    """
    try:
        before, start = _ticks(), time.monotonic()
        time.sleep(seconds)
        return (_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
    except (OSError, ValueError, AttributeError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _ticks() -> int:
    """Of all processors since the system started, those of waiting and of guests left out."""
    user, nice, system, _, _, *rest = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(map(int, (user, nice, system, *rest)))


def wait(device: str) -> None:
    """Until a GPU has done what it was given."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)
