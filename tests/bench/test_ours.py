"""Where the time of a search went, from a database with known seconds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mmauto.bench.measure import Ran
from mmauto.bench.ours import Found, between, spent, training_flops, trials_of, weights
from mmauto.bench.rows_search import where
from mmauto.engine.jobs import Outcome
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Costs

PARAMETERS, WIDTH = 1000, 16


def stored(folder: Path) -> Found:
    """Three trials: the first one spends 5 s on features; each trains 2 s and ends in 0.5 s."""
    save_truth(folder, {}, {}, {})
    specs = {"y": TargetSpec("y", "multiclass", ("a", "b"))}
    task = TaskView("t", {"image": "image"}, specs, "y", "accuracy", False)
    view = ArmView("concat_mlp", "fusion", "concat_mlp", "early", "")
    store = StudyStore.create(folder, "s", {}, task, {}, {}, "", [view])
    with closing(store):
        fresh = [
            NewTrial("concat_mlp", "search", int(n > 0), n, 0, {"adapter/width": WIDTH})
            for n in range(3)
        ]
        for place, trial in enumerate(store.begin(fresh)):
            encoding = 5.0 if place == 0 else 0.0
            costs = Costs(
                train_seconds=2.0, parameters=PARAMETERS, evaluation_seconds=0.5,
                encoding_seconds=encoding,
            )  # fmt: skip
            seconds = 2.5 + encoding
            store.finish(
                Outcome(trial, "complete", 0.5, 0, (0.5, 0.4), seconds=seconds, costs=costs)
            )
        (proof,) = store.begin([NewTrial("concat_mlp", "confirm", 0, 0, 0, {}, 1)])
        store.finish(Outcome(proof, "complete", 0.5, seconds=3.0))
        store.set_study(facts={**store.facts, "spent": {"store": 1.3, "asking": 0.4}})
        asked = min(row.started for row in store.rows("search"))
    return Found(Ran(asked - 4.0, 60.0, 0, ""), folder, workers=2)


def test_the_parts_of_the_wall_time_sum_to_the_process(tmp_path: Path) -> None:
    took = spent(stored(tmp_path))
    assert took.start == pytest.approx(4.0)
    assert took.confirmation == pytest.approx(3.0)
    assert took.start + took.search + took.confirmation + took.report == pytest.approx(60.0)


def test_the_parts_of_the_workers_time_sum_to_the_search(tmp_path: Path) -> None:
    took = spent(stored(tmp_path))
    assert took.encoding == pytest.approx(5.0)
    assert took.training == pytest.approx(4.5)
    assert took.evaluation == pytest.approx(1.5)
    assert took.ending == pytest.approx(1.5)
    inside = took.encoding + took.training + took.evaluation + took.ending
    assert inside + took.idle == pytest.approx(2 * took.search)


def test_what_the_coordinator_spends_stands_beside_the_workers_time(tmp_path: Path) -> None:
    told = where(stored(tmp_path))
    assert told["store"].startswith("1.30 s of the coordinator, beside the workers' time")
    assert told["asking"].startswith("0.40 s of the coordinator")
    assert "encoding 5.0 s" in told["search, 2 worker(s)"]


def test_operations_are_counted_by_the_rows_that_each_weight_meets(tmp_path: Path) -> None:
    found = stored(tmp_path)
    epoch = 70 * (6 * PARAMETERS - 2 * 20 * WIDTH) + 15 * 2 * PARAMETERS
    assert training_flops(found, dims=20, train=70, valid=15) == 3 * 2 * epoch
    assert trials_of(found) == 3
    assert weights(found) == (PARAMETERS, 2 * PARAMETERS)  # generations of one and of two trials


def test_what_passes_between_trials_leaves_the_first_generation_out(tmp_path: Path) -> None:
    took = between(stored(tmp_path))
    assert took.trials == 2
    assert took.wall - took.outside == pytest.approx(2 * 2.5, abs=1e-3)
    assert took.first == pytest.approx(
        -7.5, abs=0.5
    )  # its trials were told to be longer than the clock
