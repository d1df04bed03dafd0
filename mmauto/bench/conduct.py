"""Measures the rows that were asked for, in a temporary folder."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmauto.bench.machine import describe, others_busy
from mmauto.bench.results import Measured
from mmauto.bench.row import FULL, QUICK, Bench
from mmauto.bench.rows import ROWS
from mmauto.tuning.crew import default_workers
from mmauto.tuning.prepare import find_device

LOOK = 0.5
"""Seconds for which a row waits to see whether something else is busy."""


def measure(
    names: Sequence[str], quick: bool, device: str, say: Callable[[str], None]
) -> Iterator[Measured]:
    """The rows, one by one as they are measured.

    Args:
        names: of `ROWS`.
        device: ``auto``, ``cpu`` or ``cuda[:n]``.
        say: receives what is going on, with the seconds since the start.

    Raises:
        ConfigError: the device is not there.
        MmautoError: a process that is measured fails.
    """
    start, found = time.monotonic(), find_device(device)
    machine = describe(found)

    def timed(text: str) -> None:
        say(f"[{time.monotonic() - start:6.1f} s] {text}")

    with tempfile.TemporaryDirectory(prefix="mmauto-bench-") as folder:
        bench = Bench(
            Path(folder), found, default_workers(found), machine, QUICK if quick else FULL, timed
        )
        for name in names:
            load = others_busy(0.1 if quick else LOOK)
            day = datetime.datetime.now(datetime.UTC).date()
            yield Measured(ROWS[name](bench), machine, load, day.isoformat(), quick)
