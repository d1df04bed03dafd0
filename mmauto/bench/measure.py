"""Timing: processes with their peak memory, and two things run in turn."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmauto.errors import MmautoError

BETWEEN_LOOKS = 0.2
"""Seconds; a look at the memory of a process tree takes a few milliseconds of another core."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Ran:
    """A process that has ended well.

    Attributes:
        started: Unix seconds.
        seconds: wall time from start to end, interpreter and imports included.
        peak: bytes of the whole process tree, sampled; 0 where there is no ``/proc``.
        output: what it printed.
    """

    started: float
    seconds: float
    peak: int
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end.

    Args:
        environment: added to this process's own.

    Raises:
        MmautoError: it ended with another exit code than 0.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        started, start, peak = time.time(), time.perf_counter(), 0
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        try:
            while True:
                peak = max(peak, tree_memory(child.pid))
                try:
                    child.wait(BETWEEN_LOOKS)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            child.kill()
        seconds = time.perf_counter() - start
        log.seek(0)
        output = log.read()
    if child.returncode:
        raise MmautoError(
            f"what a benchmark runs must end well, {' '.join(command)!r} ended with exit code "
            f"{child.returncode}; its last words: {output.strip()[-800:] or 'none'}"
        )
    return Ran(started, seconds, peak, output)


def tree_memory(process: int) -> int:
    """Bytes that a process and its descendants hold, what they share counted once.

    ``/proc/PID/smaps_rollup`` gives the proportional share (PSS): memory maps of one cache file in
    several workers are one set of pages, which sums of resident sizes would count again.
    """
    total = 0
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += 1024 * int(line.split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, ValueError):  # it has ended meanwhile, or this is no Linux
        return total
    return total + sum(tree_memory(child) for child in children)


def alternately(
    repeats: int, ours: Callable[[], A], theirs: Callable[[], B]
) -> tuple[list[A], list[B]]:
    """Run two things in turn, so that a machine that slows down slows both."""
    pairs = [(theirs(), ours())[::-1] for _ in range(repeats)]
    return [mine for mine, _ in pairs], [other for _, other in pairs]
