"""Optuna's own tools read what was searched, as if Optuna had stored it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest

from mmauto.engine.jobs import Outcome
from mmauto.space import Choice, Float, Int
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.importance import importances
from mmauto.tuning.mirror import mirror
from mmauto.tuning.optuna_words import distributions, freeze
from mmauto.tuning.sampler import start_up
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Failure, TrialView

ARM = Arm(
    ArmView("one", "fusion", "one", "early", ""),
    (),
    {
        "fusion/kind": Choice(("a", "b")),
        "fusion/width": Int(8, 256, 64, log=True),
        "train/lr": Float(1e-4, 1e-1, 1e-3, log=True),
    },
)


def search(store: StudyStore, first: int, count: int) -> None:
    places = range(first, first + count)
    fresh = [NewTrial("one", "search", 0, n, 0, start_up(ARM, 0, n)) for n in places]
    for place, identity in zip(places, store.begin(fresh), strict=True):
        if place == 1:
            store.finish(Outcome(identity, "failed", failure=Failure("nan", "NaN")))
            continue
        value = place / 10
        state = "pruned" if place == 2 else "complete"
        store.finish(Outcome(identity, state, value, 1, (0.0, value), (), 2.0))
    store.flush()


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
    save_truth(tmp_path, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
    task = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy")
    return StudyStore.create(tmp_path, "s", {}, task, {}, {}, "", [ARM.view])


def test_optuna_loads_what_it_would_have_stored_itself(store: StudyStore) -> None:
    search(store, 0, 4)
    mirror(store, [ARM], True)
    search(store, 4, 3)  # a study that continues
    mirror(store, [ARM], True)
    mirror(store, [ARM], True)
    stored = store.trials()
    store.close()
    storage = optuna.storages.RDBStorage(store.url(store.folder))
    found = optuna.load_study(study_name="s/one", storage=storage)
    trials = found.get_trials()
    storage.remove_session()
    storage.engine.dispose()
    assert [trial.number for trial in trials] == list(range(7))
    for theirs, ours in zip(trials, stored, strict=True):
        wanted = freeze(ARM, ours, distributions(ARM.space))
        for name in ("state", "value", "params", "distributions", "intermediate_values"):
            assert getattr(theirs, name) == getattr(wanted, name), name
        assert theirs.user_attrs == {"mmauto_trial": ours.id}
        assert theirs.duration is not None
        assert theirs.duration.total_seconds() == pytest.approx(ours.seconds, abs=1e-3)


def test_the_parameter_that_decides_is_the_most_important_one() -> None:
    trials = []
    for place in range(60):
        params = start_up(ARM, 0, place)
        value = -abs(np.log10(float(params["train/lr"])) + 2)
        state = "pruned" if place % 3 else "complete"
        trials.append(TrialView(place, "one", 0, place, state, params, value))  # type: ignore[arg-type]
    found = importances(ARM, trials, True)
    assert next(iter(found)) == "train/lr"
    assert sum(found.values()) == pytest.approx(1)
    assert importances(ARM, trials[:7], True) == {}
