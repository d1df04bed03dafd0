"""Several executors: every item once, in order, none waits, and no thread is left behind."""

from __future__ import annotations

import threading
import time

import pytest

from mmauto.engine.jobs import Runner
from mmauto.tuning.crew import MOST_WORKERS, Crew, default_workers
from mmauto.tuning.team import Team


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


def test_what_follows_an_item_waits_for_nobody_else() -> None:
    """A slow arm in its first generation does not hold up the others' later ones."""
    late = threading.Event()

    def work(item: tuple[str, int], runner: Runner) -> tuple[str, int] | None:
        name, number = item
        if name == "slow":
            assert late.wait(30)
            return None
        if number == 5:
            late.set()
            return None
        return (name, number + 1)

    Crew([Idle(), Idle()]).each([("slow", 0), ("fast", 0)], work)
    assert late.is_set()


def test_an_item_left_alone_is_shared_by_all_that_are_free() -> None:
    sizes: dict[str, list[int]] = {"short": [], "long": []}
    begun = threading.Barrier(2)

    def work(item: tuple[str, int], runner: Runner) -> tuple[str, int] | None:
        name, left = item
        assert isinstance(runner, Team)
        sizes[name].append(len(runner.runners))
        if len(sizes[name]) == 1:
            begun.wait(30)
        if name == "long":
            time.sleep(0.3)  # the other one is back by then
        return (name, left - 1) if left else None

    Crew([Idle() for _ in range(3)]).each([("short", 0), ("long", 2)], work)
    assert sizes == {"short": [2], "long": [1, 3, 3]}


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
