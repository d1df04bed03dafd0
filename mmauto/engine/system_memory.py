"""What the operating system tells of processes' memory, where it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def wait(process: subprocess.Popen[str]) -> int:
    """Wait for a process's end; bytes of memory that it had at most, 0 where that is not known."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except (AttributeError, ChildProcessError):  # Windows; or somebody has waited before
        process.wait()
        return 0
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def oom_kills() -> int:
    """Processes that the system has ended for lack of memory since it started."""
    return _number(Path("/proc/vmstat"), "oom_kill")


def peak_of(process: int) -> int:
    """Bytes of memory that a process had at most so far; 0 where the system does not say."""
    return 1024 * _number(Path(f"/proc/{process}/status"), "VmHWM:")


def _number(file: Path, name: str) -> int:
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(row[1]) for row in rows if row[:1] == [name]), 0)
