"""What the coordinator spends its time on, beside waiting for workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SPENT = "spent"
"""The name among a study's facts."""

STORE, ASKING = "store", "asking"
"""Beginning trials and writing what became of them; choosing candidates."""


class Seconds:
    """Wall seconds by what they went to, told by several threads.

    They stand beside a search rather than in it: while the coordinator writes, workers train.

    Args:
        earlier: what runs before this one have spent.
    """

    def __init__(self, earlier: Mapping[str, float] | None = None):
        self._seconds = dict(earlier or {})
        self._lock = threading.Lock()

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the time in here."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                spent = time.perf_counter() - start
                self._seconds[what] = self._seconds.get(what, 0.0) + spent

    def told(self) -> dict[str, float]:
        """By what they went to."""
        with self._lock:
            return dict(self._seconds)
