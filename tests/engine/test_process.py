"""The executor's process: what kills a trial does not kill the search."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto.engine.child_process import ChildProcess, LostExecutorError
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.engine.process import STARTS, ProcessExecutor
from mmauto.engine.system_memory import oom_kills, peak_of
from mmauto.errors import MmautoError
from mmauto.registry import Registry

Make = Callable[..., TrialJob]


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.fixture
def remote(setup: Setup, registry: Registry) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor()
    executor.use(setup)
    yield executor
    executor.close()


def test_a_closed_executor_starts_nothing_again(setup: Setup, make_job: Make) -> None:
    """Another thread may still be asking for candidates when an error or Ctrl-C ends the search."""
    executor = ProcessExecutor()
    executor.use(setup)
    executor.close()
    with pytest.raises(LostExecutorError, match="the search is being stopped"):
        executor.run_pack([make_job(0), make_job(1)], go_on)
    assert executor.child is None


def test_a_process_gives_what_this_process_gives(
    setup: Setup, registry: Registry, remote: ProcessExecutor, make_job: Make
) -> None:
    here = Executor(setup, registry).run_pack([make_job(0), make_job(1, seed=5)], go_on)
    there = remote.run_pack([make_job(0), make_job(1, seed=5)], go_on)
    for one, two in zip(here, there, strict=True):
        assert one.curve == two.curve
        np.testing.assert_array_equal(one.valid["y"], two.valid["y"])


@pytest.mark.fault("kill")
@pytest.mark.slow
def test_a_crash_fails_its_own_trial_and_the_neighbours_finish(
    remote: ProcessExecutor, make_job: Make
) -> None:
    announced: list[Outcome] = []
    remote.done = announced.append
    crash = make_job(1, component="faulty", params={"fusion/how": "exit"})
    outcomes = remote.run_pack([make_job(0), crash, make_job(2)], go_on)
    assert [outcome.state for outcome in outcomes] == ["complete", "failed", "complete"]
    failure = outcomes[1].failure
    assert failure is not None
    assert failure.kind == "killed"
    assert "ended with exit code 3 while this trial ran" in failure.message
    assert sorted(outcome.id for outcome in announced) == [0, 1, 2]
    assert remote.run_pack([make_job(3)], go_on)[0].state == "complete"


@pytest.mark.fault("kill")
def test_one_kill_from_outside_costs_no_trial(remote: ProcessExecutor, make_job: Make) -> None:
    killed = []

    def kill(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        if not killed:
            killed.append(epoch)
            remote.child.process.kill()
        return dict.fromkeys(values, True)

    (outcome,) = remote.run_pack([make_job(0)], kill)
    assert (killed, outcome.state) == ([0], "complete")


def end(child: ChildProcess) -> None:
    child.process.kill()
    child.process.wait()


def end_at_once(child: ChildProcess) -> None:
    """Before it has imported anything."""
    end(child)


def end_in_handshake(child: ChildProcess) -> None:
    """While the coordinator reads the data."""
    listening: Any = child.listener
    assert wait([listening._listener._socket], timeout=60)
    end(child)


def end_before_setup(child: ChildProcess) -> None:
    """Between the handshake and the setup."""
    accept = child.listener.accept

    def accept_and_end() -> Any:
        connection = accept()
        end(child)
        return connection

    child.listener.accept = accept_and_end  # type: ignore[method-assign]


@pytest.mark.fault("kill")
@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(end_at_once, marks=pytest.mark.slow),
        end_in_handshake,
        pytest.param(end_before_setup, marks=pytest.mark.slow),
    ],
)
def test_a_child_that_is_killed_before_it_has_the_setup_is_started_again(
    setup: Setup, registry: Registry, make_job: Make, kill: Callable[[ChildProcess], None]
) -> None:
    executor = ProcessExecutor()
    try:
        assert isinstance(executor.child, ChildProcess)
        kill(executor.child)
        executor.use(setup)
        (outcome,) = executor.run_pack([make_job(0)], go_on)
    finally:
        executor.close()
    assert outcome.state == "complete"


class Births:
    """Stands for `subprocess.Popen` and kills as many processes as it is told to as they start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.begin, self.killed, self.deaths = subprocess.Popen, 0, 0
        monkeypatch.setattr(subprocess, "Popen", self)

    def __call__(self, *args: Any, **options: Any) -> Any:
        process = self.begin(*args, **options)
        if self.killed < self.deaths:
            self.killed += 1
            process.kill()
            process.wait()
        return process


@pytest.mark.slow
@pytest.mark.fault("kill")
def test_replacements_that_are_killed_while_they_start_cost_no_trial(
    remote: ProcessExecutor, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    births = Births(monkeypatch)

    def kill(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        if not births.deaths:
            births.deaths = STARTS - 1
            assert isinstance(remote.child, ChildProcess)
            end(remote.child)
        return dict.fromkeys(values, True)

    outcomes = remote.run_pack([make_job(0), make_job(1)], kill)
    assert [outcome.state for outcome in outcomes] == ["complete", "complete"]
    assert births.killed == STARTS - 1


@pytest.mark.fault("kill")
def test_children_that_are_all_killed_while_they_start_end_the_search_with_a_sentence(
    remote: ProcessExecutor, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    births = Births(monkeypatch)
    births.deaths = 100
    assert isinstance(remote.child, ChildProcess)
    end(remote.child)
    message = (
        rf"must start, {STARTS} in a row did not: the executor's process ended with signal 9 while "
        r"it started \(out of memory, or killed by hand\); its last words: none; free memory or use"
    )
    with pytest.raises(MmautoError, match=message):
        remote.run_pack([make_job(0), make_job(1)], go_on)
    assert (births.killed, remote.child) == (STARTS, None)


def test_a_child_that_ends_by_itself_while_it_starts_is_not_started_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = subprocess.Popen
    command = [sys.executable, "-c", "import sys; sys.exit('no torch')"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: begin(command, **options))
    executor = ProcessExecutor()
    try:
        with pytest.raises(MmautoError, match=r"ended with exit code 1; its last words: no torch"):
            executor.use(setup)
    finally:
        executor.close()


@pytest.mark.slow
def test_a_trial_that_is_killed_again_is_named_with_the_signal(
    remote: ProcessExecutor, make_job: Make
) -> None:
    def kill(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        assert remote.child is not None
        remote.child.process.kill()
        return dict.fromkeys(values, True)

    (outcome,) = remote.run_pack([make_job(0)], kill)
    assert outcome.failure is not None
    assert outcome.failure.kind == "killed"
    assert "signal 9 while this trial ran (out of memory, or killed by hand)" in (
        outcome.failure.message
    )
    if sys.platform == "linux":
        assert outcome.costs.peak_memory > 50 << 20
    assert outcome.seconds > 0


@pytest.mark.slow
def test_a_kill_by_a_system_without_memory_says_so(
    remote: ProcessExecutor, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmauto.engine.child_process.oom_kills", itertools.count(10**9).__next__)

    def kill(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        assert isinstance(remote.child, ChildProcess)
        remote.child.process.kill()
        return dict.fromkeys(values, True)

    (outcome,) = remote.run_pack([make_job(0)], kill)
    assert outcome.failure is not None
    assert outcome.failure.kind == "killed"
    assert "(memory ran out and the system ended it; fewer --workers need less)" in (
        outcome.failure.message
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count")
def test_what_the_system_tells_of_memory() -> None:
    assert oom_kills() >= 0
    assert peak_of(os.getpid()) > 50 << 20
    assert peak_of(10**9) == 0  # no such process


@pytest.mark.slow
def test_a_silent_trial_is_ended(setup: Setup, registry: Registry, make_job: Make) -> None:
    executor = ProcessExecutor(silence=8.0)
    executor.use(setup)
    try:
        hang = make_job(0, component="faulty", params={"fusion/how": "hang"})
        (outcome,) = executor.run_pack([hang], go_on)
    finally:
        executor.close()
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert "must report at least every 8 seconds" in outcome.failure.message
    assert "raise --trial-timeout" in outcome.failure.message
    assert outcome.costs.peak_memory > 50 << 20
    assert outcome.seconds >= 8


def test_every_pack_says_a_word_an_epoch_so_that_many_of_them_are_not_silent(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    words: list[int] = []
    reports: list[int] = []

    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        reports.append(len(words))
        return dict.fromkeys(values, True)

    executor = Executor(setup, registry, alive=lambda: words.append(0))
    executor.run_pack([make_job(n, epochs=2, patience=2) for n in range(3)], report)
    assert reports == [3, 6]


def test_pruning_decisions_reach_the_process(remote: ProcessExecutor, make_job: Make) -> None:
    (outcome,) = remote.run_pack([make_job(0)], lambda epoch, values: dict.fromkeys(values, False))
    assert (outcome.state, len(outcome.curve)) == ("pruned", 1)


def test_ctrl_c_in_the_coordinator_ends_the_child(remote: ProcessExecutor, make_job: Make) -> None:
    def interrupt(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        raise KeyboardInterrupt

    child = remote.child
    assert child is not None
    with pytest.raises(KeyboardInterrupt):
        remote.run_pack([make_job(0)], interrupt)
    assert child.process.poll() is not None


@pytest.mark.fault("kill")
def test_the_child_ends_when_the_coordinator_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import time\n"
        "from mmauto.engine.process import ProcessExecutor\n"
        "print(ProcessExecutor().child.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{child}").exists()
