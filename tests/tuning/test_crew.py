"""Several executors: every item once, in order, and no thread left behind."""

from __future__ import annotations

import threading
import time

import pytest

from mmauto.engine.jobs import Runner
from mmauto.tuning.crew import MOST_WORKERS, Crew, default_workers


class Idle(Runner):
    closed = False

    def run_pack(self, jobs: object, report: object) -> list[object]:
        return []

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("count", [1, 3])
def test_every_item_is_done_once_by_one_runner_at_a_time(count: int) -> None:
    crew = Crew([Idle() for _ in range(count)])
    busy: set[int] = set()
    seen: list[int] = []

    def work(item: int, runner: Runner) -> None:
        assert id(runner) not in busy
        busy.add(id(runner))
        time.sleep(0.005)
        seen.append(item)
        busy.remove(id(runner))

    crew.each(range(20), work)
    assert sorted(seen) == list(range(20))
    if count == 1:
        assert seen == list(range(20))


def test_the_first_error_is_raised_and_the_rest_is_not_begun() -> None:
    crew = Crew([Idle(), Idle()])
    begun: list[int] = []

    def work(item: int, runner: Runner) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("no more")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="no more"):
        crew.each(range(50), work)
    assert len(begun) < 50
    assert all(isinstance(runner, Idle) and runner.closed for runner in crew.runners)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("mmauto-crew")]


def test_workers_fit_the_machine() -> None:
    assert default_workers("cuda") == 1
    assert 1 <= default_workers("cpu") <= MOST_WORKERS
