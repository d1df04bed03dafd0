"""Waiting for another process, aloud: one who says nothing counts as hung."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

PATIENCE = 5.0
"""Seconds between two words of one who waits."""


@contextmanager
def patiently(lock: FileLock, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; call ``waiting`` every `PATIENCE` seconds until it is free."""
    while True:
        try:
            lock.acquire(timeout=PATIENCE)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()
