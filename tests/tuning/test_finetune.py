"""Which arms are fine-tuned, what is stored of it, and what a killed search goes on with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmauto.config import from_mapping
from mmauto.engine.jobs import Outcome, Report, Runner, TrialJob
from mmauto.space import Choice
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.chances import trials_each
from mmauto.tuning.confirm import Confirmation
from mmauto.tuning.crew import Crew
from mmauto.tuning.finetune import FineTuning, wanted
from mmauto.tuning.run import Clock, Search
from mmauto.tuning.watch import Watcher
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView

TASK = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy")
SPACE = {"a/encoder": Choice(("words", "network")), "train/batch_size": Choice((50,))}


def arm(name: str, kind: Any = "fusion") -> Arm:
    return Arm(ArmView(name, kind, name, "early", ""), ("a",), SPACE)


ARMS = [
    arm("first"), arm("second"), arm("third"), arm("plain"), arm("a_only", "single"),
    arm("b_only", "single"), arm("boosting", "control"),
]  # fmt: skip
VALUES = {
    "first": ("network", 0.8), "second": ("network", 0.7), "third": ("network", 0.6),
    "plain": ("words", 0.9), "a_only": ("network", 0.5), "b_only": ("network", 0.4),
    "boosting": ("network", 0.95),
}  # fmt: skip


class Encoders:
    """A registry of two: words are frozen for good, a network may be trained further."""

    def encoder(self, name: str) -> Any:
        return SimpleNamespace(frozen=lambda params: True, tunable=lambda p: name == "network")


class Stopped(Exception):
    """Stands for a kill."""


class Made(Runner):
    """A fine-tuned trial is better by as much as is said for it, in order."""

    def __init__(self, gains: Sequence[float] = (), stop: int | None = None):
        self.gains, self.stop, self.jobs = list(gains), stop, []
        self.done: Any = None

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        for job in jobs:
            if self.stop is not None and len(self.jobs) == self.stop:
                raise Stopped
            self.jobs.append(job)
            value = VALUES[job.candidate.component][1] + (self.gains.pop(0) if self.gains else 0)
            kept = report(0, {job.id: value})[job.id]
            self.done(Outcome(job.id, "complete" if kept else "pruned", value, 0, (value,)))
        return ()

    def close(self) -> None:
        pass


class Listens(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """A search of two trials an arm that has ended: the second one is worse."""
    sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
    save_truth(tmp_path, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
    views = [a.view for a in ARMS]
    found = StudyStore.create(tmp_path, "s", {}, TASK, {}, {}, "", views)
    for name, (encoder, value) in VALUES.items():
        params = [{"a/encoder": encoder, "train/batch_size": 50}, {"a/encoder": "words"}]
        fresh = [NewTrial(name, "search", 0, n, 0, own) for n, own in enumerate(params)]
        for place, identity in enumerate(found.begin(fresh)):
            found.finish(Outcome(identity, "complete", value - place / 10, 0, (value,)))
    found.flush()
    return found


def tune(
    store: StudyStore, runner: Made, finetune: str = "top2", limit: float | None = None
) -> list[str]:
    """Run the stage; the notes that were given."""
    config = from_mapping({"task": "t", "trials": 2, "finetune": finetune})
    watcher, clock = Listens(), Clock(limit, time.monotonic() - 1)
    crew = Crew([runner])
    stage = FineTuning(store, ARMS, config, crew, watcher, Encoders(), True, clock)  # type: ignore[arg-type]
    runner.done = stage.ended
    stage.run("cpu")
    store.flush()
    return watcher.notes


def arms_of(runner: Made) -> list[str]:
    return [job.candidate.component for job in runner.jobs]


def tuned(store: StudyStore) -> dict[str, Any]:
    return {t.arm: t for t in store.trials() if "train/finetune" in t.params}


def test_auto_is_for_gpus() -> None:
    assert (wanted("auto", "cpu"), wanted("auto", "cuda:1")) == (0, 3)
    assert (wanted("none", "cuda"), wanted("top7", "cpu")) == (0, 7)


def test_the_best_arms_and_the_best_single_modality_get_one_more_trial(store: StudyStore) -> None:
    runner = Made([0.1, -0.1, 0.05])
    notes = tune(store, runner)
    assert arms_of(runner) == ["first", "second", "a_only"]
    for job in runner.jobs:
        assert job.candidate.params["train/finetune"] == 5
        assert job.candidate.params["a/encoder"] == "network"
        assert not job.pack
    found = tuned(store)
    assert {(t.index, t.generation, t.state) for t in found.values()} == {(2, 1, "complete")}
    assert found["first"].value == pytest.approx(0.9)
    assert notes == [
        "fine-tuning the best candidates of first, second, a_only; on a CPU an epoch may take "
        "minutes",
        "fine-tuning first: 0.8000 became 0.9000 on validation",
        "fine-tuning second: not better than 0.7000 on validation",
        "fine-tuning a_only: 0.5000 became 0.5500 on validation",
    ]


def test_confirmation_takes_it_where_it_is_better(store: StudyStore) -> None:
    tune(store, Made([0.1, -0.1, 0.05]))
    config = from_mapping({"task": "t", "trials": 2, "confirm_seeds": 2})
    runner = Made()
    proof = Confirmation(store, ARMS, config, Crew([runner]), Watcher(), True)
    runner.done = proof.ended
    proof.run()
    epochs = {job.candidate.component: job.candidate.params.get("train/finetune") for job in
              runner.jobs}  # fmt: skip
    assert epochs == {
        "first": 5, "second": None, "third": None, "plain": None, "a_only": 5, "b_only": None,
        "boosting": None,
    }  # fmt: skip
    assert all(job.score_test for job in runner.jobs)
    assert len(runner.jobs) == 2 * len(ARMS)
    # what has been confirmed is not fine-tuned any more
    later = Made()
    tune(store, later, "top7")
    assert not later.jobs


def test_no_arm_is_judged_by_more_trials_than_another(store: StudyStore) -> None:
    """Where time ends a search in mid-generation, later trials of some arms do not count."""
    (late,) = store.begin([NewTrial("second", "search", 0, 2, 0, {"train/batch_size": 50})])
    store.finish(Outcome(late, "complete", 0.99, 0, (0.99,)))
    store.flush()
    trials = store.trials()
    config = from_mapping({"task": "t", "trials": 3, "confirm_seeds": 1})
    runner, listens = Made(), Listens()
    proof = Confirmation(store, ARMS, config, Crew([runner]), listens, True)
    runner.done = proof.ended
    proof.run()
    sources = {row.arm: row.source for row in store.rows("confirm")}
    chosen = next(trial for trial in trials if trial.id == sources["second"])
    assert (chosen.index, chosen.value) == (0, VALUES["second"][1])
    assert listens.notes == [
        "the search ended before every arm had as many trials: the best of the first 2 of each "
        "arm are compared, 1 later ones are not"
    ]


def test_a_parked_arm_holds_nobody_back(store: StudyStore) -> None:
    for name in VALUES:
        if name != "third":
            (more,) = store.begin([NewTrial(name, "search", 0, 2, 0, {})])
            store.finish(Outcome(more, "complete", 0.1, 0, (0.1,)))
    store.flush()
    assert trials_each(store, ARMS) == 2
    store.set_arm("third", parked=1)
    assert trials_each(store, ARMS) == 3
    for name in VALUES:
        store.set_arm(name, parked=1)
    assert trials_each(store, ARMS) == 2  # none is left: they are compared with each other


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_killed_stage_goes_on_where_it_was(store: StudyStore, stop: int) -> None:
    with pytest.raises(Stopped):
        tune(store, Made([0.1] * stop, stop))
    left = tuned(store)
    runner = Made([0.1] * (3 - stop))
    tune(store, runner)
    assert arms_of(runner) == ["first", "second", "a_only"][stop:]
    found = tuned(store)
    assert {name: t.id for name, t in found.items()} == {name: t.id for name, t in left.items()}
    assert {t.state for t in found.values()} == {"complete"}
    again = Made()
    assert tune(store, again) == []
    assert not again.jobs


def test_the_search_does_not_count_or_learn_from_it(store: StudyStore) -> None:
    tune(store, Made())
    seen = []

    class Counts(Watcher):
        def ended(self, trial: Any) -> None:
            seen.append(trial)

    config = from_mapping({"task": "t", "trials": 2})
    hunt = Search(store, ARMS, config, Crew([Made()]), Counts(), 100, True, Clock(None, 0.0))
    hunt.run()
    assert len(seen) == 2 * len(ARMS)
    assert {len(history) for history in hunt.history.values()} == {2}


def test_no_time_means_no_stage_and_none_means_none(store: StudyStore) -> None:
    runner = Made()
    notes = tune(store, runner, limit=0.5)
    assert notes == ["the time for the search is over; nothing is fine-tuned"]
    assert tune(store, runner, "none") == tune(store, runner, "auto") == []
    assert not runner.jobs
    assert not tuned(store)


def test_it_says_where_nothing_can_be_fine_tuned(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Encoders, "encoder",
        lambda self, name: SimpleNamespace(frozen=lambda p: True, tunable=lambda p: False),
    )  # fmt: skip
    assert tune(store, Made()) == ["no arm's best candidate has an encoder that can be fine-tuned"]


def test_a_failure_leaves_the_frozen_candidate(store: StudyStore) -> None:
    class Fails(Made):
        def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
            from mmauto.views import Failure

            for job in jobs:
                failure = Failure("oom", "CUDA out of memory")
                self.done(Outcome(job.id, "failed", failure=failure))
            return ()

    notes = tune(store, Fails(), "top1")
    assert "fine-tuning first failed (oom: CUDA out of memory)" in notes
    assert {t.state for t in tuned(store).values()} == {"failed"}
