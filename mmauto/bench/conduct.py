"""Measures the rows that were asked for, in a temporary folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mmauto.bench.machine import Machine, describe
from mmauto.bench.row import FULL, QUICK, Bench, Grid, Row
from mmauto.bench.rows import ROWS
from mmauto.tuning.crew import default_workers
from mmauto.tuning.prepare import find_device


def measure(
    names: Sequence[str], quick: bool, device: str, say: Callable[[str], None]
) -> tuple[Machine, list[Row | Grid]]:
    """The machine and the rows.

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
        rows = [ROWS[name](bench) for name in names]
    return machine, rows
