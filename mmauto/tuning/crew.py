"""Several executors at work on the arms of one generation.

An arm's candidates depend on its own stored trials alone, so arms can run side by side without
changing what any of them asks: one worker or many, the same seed gives the same trials.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

from mmauto.engine.jobs import Runner
from mmauto.tuning.team import Team

MOST_WORKERS = 4
"""By default: each holds the features in memory of its own, about 1 GB with a text encoder."""

T = TypeVar("T")


def default_workers(device: str) -> int:
    """One on a GPU, which its packs should fill; else one a core, up to `MOST_WORKERS`."""
    return min(cores(), MOST_WORKERS) if device == "cpu" else 1


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """Hands items to whichever runner is free, in order; a few items are shared by teams."""

    def __init__(self, runners: Sequence[Runner]):
        self.runners = runners

    def each(self, items: Sequence[T], work: Callable[[T, Runner], None]) -> None:
        """Do ``work(item, runner)`` for every item; the first error ends it and is raised.

        Ctrl-C ends the runners, so that no thread is left waiting for a result.
        """
        free: SimpleQueue[Runner] = SimpleQueue()
        count = min(len(self.runners), max(1, len(items)))
        for place in range(count):
            free.put(Team(self.runners[place::count]))
        stop = threading.Event()

        def one(item: T) -> None:
            runner = free.get()
            try:
                if not stop.is_set():
                    work(item, runner)
            finally:
                free.put(runner)

        with ThreadPoolExecutor(count, thread_name_prefix="mmauto-crew") as pool:
            futures = [pool.submit(one, item) for item in items]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                stop.set()
                self.close()
                raise
            failed = [future for future in done if future.exception() is not None]
            if failed:
                stop.set()
                self.close()
        for future in failed:
            future.result()

    def close(self) -> None:
        """End all runners for good."""
        for runner in self.runners:
            runner.close()
