"""The coordinator with a made-up engine: packs, pruning across generations, resuming."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto import conduct
from mmauto.config import from_mapping
from mmauto.engine.jobs import Outcome, Report, Runner, TrialJob
from mmauto.errors import StoreError
from mmauto.space import Choice, Float
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.crew import Crew
from mmauto.tuning.run import Clock, Search
from mmauto.tuning.watch import Watcher
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Failure

SPACE = {
    "fusion/width": Choice((16, 32, 64)),
    "train/lr": Float(1e-4, 1e-2, 1e-3, log=True),
    "train/batch_size": Choice((50,)),
}
ARM = Arm(ArmView("one", "fusion", "one", "early", ""), (), SPACE, packing=frozenset({"train/lr"}))
TASK = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy")


class Stopped(Exception):
    """Stands for a kill in the middle of a generation."""


class Made(Runner):
    """Trials whose metric follows from their parameters; it is stopped after so many have ended.

    Args:
        fails_at: the epoch in which a generation's best trial fails.
    """

    def __init__(self, stop: int | None = None, fails_at: int | None = None):
        self.stop, self.fails_at, self.jobs, self.done = stop, fails_at, [], lambda outcome: None

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        self.jobs += jobs
        curves: dict[int, list[float]] = {job.id: [] for job in jobs}
        alive = {job.id: job for job in jobs}
        ended: list[Outcome] = []
        for epoch in range(jobs[0].epochs):
            values = {}
            for job in alive.values():
                top = float(job.candidate.params["train/lr"]) * 50
                values[job.id] = top * (1 - 0.7 ** (epoch + 1))
                curves[job.id].append(values[job.id])
            if epoch == self.fails_at:
                best = max(values, key=lambda identity: values[identity])
                ended.append(self._end(best, "failed", curves))
                del alive[best], values[best]
            keep = report(epoch, values)
            for identity in [i for i in alive if not keep[i]]:
                ended.append(self._end(identity, "pruned", curves))
                del alive[identity]
            if not alive:
                break
        for identity in alive:
            ended.append(self._end(identity, "complete", curves))
        return ended

    def _end(self, identity: int, state: Any, curves: dict[int, list[float]]) -> Outcome:
        if self.stop == 0:
            raise Stopped
        self.stop = None if self.stop is None else self.stop - 1
        curve = curves[identity]
        outcome = Outcome(identity, state, max(curve), len(curve) - 1, tuple(curve))
        self.done(outcome)
        return outcome

    def close(self) -> None:
        pass


def open_store(folder: Path, arms: Sequence[Arm], facts: dict[str, Any]) -> StudyStore:
    sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
    save_truth(folder, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
    views = [arm.view for arm in arms]
    return StudyStore.create(folder, "s", {}, TASK, facts, {}, "", views)


def search(
    folder: Path, runner: Made, pruner: str = "halving", **facts: Any
) -> list[tuple[Any, ...]]:
    """Run or continue a search; what is stored of each trial."""
    store = StudyStore.open(folder) or open_store(folder, [ARM], facts)
    config = from_mapping({"task": "t", "name": "s", "trials": 24, "epochs": 20, "pruner": pruner})
    clock = Clock(None, time.monotonic())
    hunt = Search(store, [ARM], config, Crew([runner]), Watcher(), 1000, True, clock)
    runner.done = hunt.ended
    try:
        hunt.run()
    finally:
        store.flush()
        found = [(t.index, t.state, str(t.params), t.curve) for t in store.trials()]
        store.close()
    return found


@pytest.mark.parametrize("limit", [None, 1e6])
def test_arms_stay_abreast_only_where_time_is_limited(tmp_path: Path, limit: float | None) -> None:
    """So that the end of the time finds them with as many trials; else nobody waits."""
    fast, slow = (
        replace(ARM, view=ArmView(name, "fusion", name, "early", "")) for name in ("fast", "slow")
    )
    order: list[tuple[str, int]] = []
    done = threading.Event()

    class Held(Made):
        def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
            name = jobs[0].candidate.component
            order.append((name, sum(known == name for known, _ in order)))
            if order[-1] == ("fast", 2):
                done.set()
            if name == "slow" and limit is None:
                assert done.wait(30)
            elif name == "slow":
                time.sleep(0.05)
            return super().run_pack(jobs, report)

    store = open_store(tmp_path, [fast, slow], {})
    config = from_mapping({"task": "t", "name": "s", "trials": 24, "epochs": 20})
    runners = [Held(), Held()]
    clock = Clock(limit, time.monotonic())
    hunt = Search(store, [fast, slow], config, Crew(runners), Watcher(), 1000, True, clock)
    for runner in runners:
        runner.done = hunt.ended
    hunt.run()
    store.close()
    if limit is None:
        assert order.index(("fast", 2)) < order.index(("slow", 1))
    else:
        assert [number for _, number in order] == [0, 0, 1, 1, 2, 2]


class Failing(Made):
    """Trials of which all fail."""

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        self.jobs += jobs
        for job in jobs:
            self.done(Outcome(job.id, "failed", failure=Failure("plugin", f"broke {job.id}")))
        return ()


def test_an_arm_that_only_fails_is_parked_and_the_note_tells_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(Watcher, "note", lambda self, text: notes.append(text))
    runner = Failing()
    search(tmp_path, runner)
    assert len(runner.jobs) == 8  # one generation of three
    (note,) = notes
    assert note.startswith("one failed 5 times in a row and gets no further trials; last: broke 8")
    assert "mmauto trials s --failed shows all" in note
    assert "a search under another --name tries it again" in note
    search(tmp_path, runner)  # continued: it stays where it is
    assert len(runner.jobs) == 8


def test_a_kill_before_an_arm_is_parked_gives_it_no_further_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Failing()
    with monkeypatch.context() as patch:
        patch.setattr(Search, "_park", stopped)
        with pytest.raises(Stopped):
            search(tmp_path, runner)
    search(tmp_path, runner)
    assert len(runner.jobs) == 8


def stopped(*given: object) -> None:
    raise Stopped


def test_once_an_arm_is_confirmed_those_that_time_cut_short_stay_so(tmp_path: Path) -> None:
    """The confirmed one was chosen among as many trials as they had."""
    arms = [replace(ARM, view=ArmView(name, "fusion", name, "early", "")) for name in ("a", "b")]
    with closing(open_store(tmp_path, arms, {})) as store:
        params = {"fusion/width": 16, "train/lr": 1e-3, "train/batch_size": 50}
        for name, count in (("a", 16), ("b", 8)):
            trials = [NewTrial(name, "search", n // 8, n, 0, params) for n in range(count)]
            for identity in store.begin(trials):
                store.finish(Outcome(identity, "complete", 0.5, 0, (0.5,)))
        store.begin([NewTrial("a", "confirm", 0, 0, 1, {}, 1)])
        store.flush()
        config = from_mapping({"task": "t", "name": "s", "trials": 24, "time": 3600.0})
        runner = Made()
        clock = Clock(None, time.monotonic())
        Search(store, arms, config, Crew([runner]), Watcher(), 1000, True, clock).run()
        assert not runner.jobs


def test_an_arm_that_was_confirmed_gets_no_further_trials(tmp_path: Path) -> None:
    """Another trial could be better than the one whose confirmation is shown."""
    runner = Made(stop=8)
    with pytest.raises(Stopped):
        search(tmp_path, runner)
    store = StudyStore.open(tmp_path)
    assert store is not None
    store.begin([NewTrial("one", "confirm", 0, 0, 1, {}, 1)])
    store.close()
    runner.jobs.clear()
    search(tmp_path, runner)
    assert not runner.jobs


def test_a_full_disk_ends_a_search_and_no_trial(tmp_path: Path) -> None:
    taken: list[Outcome] = []
    take = conduct._writing(taken.append)
    take(Outcome(1, "complete", 0.5))
    failure = Failure("disk", "OSError: [Errno 28] No space left on device")
    with pytest.raises(StoreError, match=r"disks that can be written.* No space left.* --resume"):
        take(Outcome(2, "failed", failure=failure))
    assert [outcome.id for outcome in taken] == [1]


def test_jobs_of_a_pack_carry_one_text(tmp_path: Path) -> None:
    runner = Made()
    search(tmp_path, runner)
    for first in range(0, 24, 4):
        pack = runner.jobs[first : first + 4]
        assert len({job.pack for job in pack}) == 1
        assert len({job.candidate.params["fusion/width"] for job in pack}) == 1
    assert len({job.pack for job in runner.jobs}) > 1
    assert all(job.pack for job in runner.jobs)


def test_every_generation_saves_epochs_and_the_first_has_a_complete_trial(tmp_path: Path) -> None:
    found = search(tmp_path, Made())
    assert [index for index, *_ in found] == list(range(24))
    assert "complete" in {state for _, state, *_ in found[:8]}
    for first in (0, 8, 16):
        assert sum(len(curve) for *_, curve in found[first : first + 8]) <= 8 * 20 / 3


@pytest.mark.parametrize("fails_at", [4, 8], ids=["between rungs", "at a rung"])
@pytest.mark.parametrize("stop", [None, 5])
def test_the_failure_of_the_best_leaves_a_survivor(
    tmp_path: Path, stop: int | None, fails_at: int
) -> None:
    if stop:
        with pytest.raises(Stopped):
            search(tmp_path, Made(stop, fails_at))
    found = search(tmp_path, Made(fails_at=fails_at))[:8]
    assert sorted(state for _, state, *_ in found) == ["complete", "failed", *["pruned"] * 6]


@pytest.mark.parametrize("pruner", ["halving", "median", "hyperband"])
@pytest.mark.parametrize("stop", [3, 8, 13, 19, 23])
def test_a_search_that_was_killed_asks_and_prunes_as_an_undisturbed_one(
    tmp_path: Path, stop: int, pruner: str
) -> None:
    whole = search(tmp_path / "whole", Made(), pruner=pruner)
    with pytest.raises(Stopped):
        search(tmp_path / "killed", Made(stop), pruner=pruner)
    assert search(tmp_path / "killed", Made(), pruner=pruner) == whole
    assert "pruned" in {state for _, state, *_ in whole}


def test_a_study_begins_with_what_an_earlier_one_offers(tmp_path: Path) -> None:
    offered = {"one": {"component": "one", "candidates": [{"fusion/width": 64, "train/lr": 0.007}]}}
    runner = Made()
    search(tmp_path, runner, offered=offered)
    assert runner.jobs[0].candidate.params["train/lr"] == 0.001
    assert runner.jobs[4].candidate.params["train/lr"] == 0.007
    assert {job.candidate.params["fusion/width"] for job in runner.jobs[4:8]} == {64}
