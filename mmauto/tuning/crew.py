"""Several executors at work on the arms of a search, none of which waits for another.

An arm's candidates depend on its own stored trials alone, so arms can run side by side without
changing what any of them asks: one worker or many, the same seed gives the same trials.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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
    """Hands items to whichever runners are free; where items are few, teams share them."""

    def __init__(self, runners: Sequence[Runner]):
        self.runners = runners

    def each(self, items: Iterable[T], work: Callable[[T, Runner], T | None]) -> None:
        """Do ``work(item, runner)`` for every item in order, then for what the work gives back.

        The first error, Ctrl-C included, ends the runners, so that no thread is left waiting for
        a result, and is raised.
        """
        ready, free = deque(items), list(self.runners)
        busy: dict[Future[T | None], list[Runner]] = {}
        with ThreadPoolExecutor(len(free), thread_name_prefix="mmauto-crew") as pool:
            try:
                while ready or busy:
                    count = min(len(free), len(ready))
                    for place in range(count):
                        team = free[place::count]
                        busy[pool.submit(work, ready.popleft(), Team(team))] = team
                    if count:
                        free = []
                    for future in wait(busy, return_when=FIRST_COMPLETED).done:
                        free += busy.pop(future)
                        follower = future.result()
                        if follower is not None:
                            ready.append(follower)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End all runners for good."""
        for runner in self.runners:
            runner.close()
