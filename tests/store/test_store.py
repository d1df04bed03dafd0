"""The store is the truth: what is written is read back, by another process too."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy

from mmauto.engine.jobs import Outcome
from mmauto.errors import StoreError
from mmauto.store import schema
from mmauto.store.database import connect, sqlite_url
from mmauto.store.files import load_arrays, save_arrays, save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.store.writer import Writer
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Costs, Failure

TASK = TaskView(
    "medical",
    {"image": "image"},
    {"y": TargetSpec("y", "multiclass", ("a", "b", "c"))},
    "y",
    "balanced_accuracy",
    simulated=True,
)
FACTS = {"rows": {"train": 3}, "ceiling": {"all": 0.9}, "notes": ["n"], "fingerprint": "f"}
TRUTH = {"valid": {"y": np.array([0, 1, 2])}, "test": {"y": np.array([2, -1])}}
IDS = {"valid": np.array(["r1", "r2", "r3"]), "test": np.array(["r4", "r5"])}
GROUPS = {"valid": np.array(["p1", "p1", "p2"]), "test": None}


def make(folder: Path) -> StudyStore:
    save_truth(folder, TRUTH, GROUPS, IDS)
    views = [
        ArmView("one", "fusion", "one", "early", "first"),
        ArmView("two", "single", "x", "", ""),
    ]
    return StudyStore.create(
        folder, "s", {"trials": 2}, TASK, FACTS, {"device": "cpu"}, "cmd", views
    )


def new(number: int, purpose: str = "search", arm: str = "one") -> NewTrial:
    return NewTrial(arm, purpose, 0, number, 7, {"train/lr": 0.1 * (number + 1)}, None)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store = make(tmp_path)
    ids = store.begin([new(0), new(1)])
    valid = {"y": np.eye(3, dtype=np.float32)}
    store.finish(
        Outcome(ids[0], "complete", 0.7, 1, (0.5, 0.7), (1.0, 0.8), 3.0, valid, {}, Costs(2.0, 10))
    )
    store.finish(Outcome(ids[1], "failed", failure=Failure("nan", "loss is NaN", "Traceback")))
    store.close()

    again = StudyStore.open(tmp_path)
    assert again is not None
    done, failed = again.trials()
    assert (done.state, done.value, done.best_epoch, done.seconds) == ("complete", 0.7, 1, 3.0)
    assert (done.curve, done.losses) == ((0.5, 0.7), (1.0, 0.8))
    assert done.params == {"train/lr": 0.1}
    assert failed.failure == Failure("nan", "loss is NaN", "Traceback")
    assert again.task == TASK
    assert [arm.name for arm in again.arms()] == ["one", "two"]
    np.testing.assert_array_equal(
        load_arrays(tmp_path / f"predictions/{ids[0]}.npz")["valid/y"], valid["y"]
    )
    truth, groups, names = again.truth()
    np.testing.assert_array_equal(truth["test"]["y"], TRUTH["test"]["y"])
    assert groups["test"] is None
    assert list(groups["valid"]) == ["p1", "p1", "p2"]
    assert list(names["test"]) == ["r4", "r5"]
    again.close()


def test_confirmations_carry_predictions_and_costs(tmp_path: Path) -> None:
    store = make(tmp_path)
    (identity,) = store.begin([new(0, "confirm")])
    test = {"y": np.full((2, 3), 1 / 3, dtype=np.float32)}
    store.finish(Outcome(identity, "complete", 0.6, 0, (0.6,), (), 1.0, {}, test, Costs(1.0, 5)))
    (found,) = store.confirmations()  # a reader in the writing process sees its own writes
    assert (found.arm, found.seed, found.value, found.costs) == ("one", 0, 0.6, Costs(1.0, 5))
    np.testing.assert_array_equal(found.test["y"], test["y"])
    assert store.trials() == []
    store.close()


def test_trials_in_progress_are_visible_to_a_reader_and_after_a_kill(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.begin([new(0)])
    reader = StudyStore.open(tmp_path)
    assert reader is not None
    assert [trial.state for trial in reader.trials()] == ["running"]
    reader.close()
    store.close()


def test_epochs_of_trials_that_go_on_are_there_within_a_second(tmp_path: Path) -> None:
    store = make(tmp_path)
    one, two = store.begin([new(0), new(1)])
    reader = StudyStore.open(tmp_path)
    assert reader is not None
    for epoch in range(3):
        store.observe(epoch, {one: 0.1 * epoch, two: 0.5})
    until = time.monotonic() + 1.0
    while len(reader.trials()[0].curve) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert [trial.curve for trial in reader.trials()] == [(0.0, 0.1, 0.2), (0.5, 0.5, 0.5)]
    assert {trial.state for trial in reader.trials()} == {"running"}
    # killed and resumed: it begins anew, and what it had is not mixed with what it has now
    store.observe(0, {one: 0.7})
    store.flush()
    assert [trial.curve for trial in reader.trials()] == [(0.7,), (0.5, 0.5, 0.5)]
    store.finish(Outcome(two, "pruned", 0.6, 0, (0.6, 0.4), (1.0, 0.9)))
    store.flush()
    assert reader.trials()[1].curve == (0.6, 0.4)
    assert reader.trials()[1].losses == (1.0, 0.9)
    reader.close()
    store.close()


def test_the_same_trial_cannot_be_stored_twice(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.begin([new(0)])
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        store.begin([new(0)])
    store.close()


def test_a_folder_without_a_study_is_none(tmp_path: Path) -> None:
    assert StudyStore.open(tmp_path) is None
    connect(StudyStore.url(tmp_path)).dispose()  # tables, but killed before the study's row
    assert StudyStore.open(tmp_path) is None


def test_a_study_from_before_packs_continues_without_them(tmp_path: Path) -> None:
    make(tmp_path).close()
    again = StudyStore.open(tmp_path)
    assert again is not None
    assert again.config == {"trials": 2, "pack": 1, "finetune": "none"}
    again.close()


def test_storing_trials_hardly_holds_up_a_search(tmp_path: Path) -> None:
    """On the path that the search waits for; what is written behind it costs about as much."""
    store = make(tmp_path)
    valid = {"y": np.zeros((300, 3), dtype=np.float32)}
    seconds = []
    for first in range(0, 800, 8):
        start = time.perf_counter()
        for identity in store.begin([new(first + place) for place in range(8)]):
            store.finish(
                Outcome(identity, "complete", 0.7, 1, (0.5,) * 20, (1.0,) * 20, 3.0, valid)
            )
        seconds.append((time.perf_counter() - start) / 8)
    store.close()
    assert statistics.median(seconds) < 0.005  # 1 ms where nothing else runs


@pytest.mark.parametrize("version", [999, 0, -1])
def test_an_unknown_schema_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    make(tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute(f"UPDATE mmauto_schema SET version = {version}, written_by = '9.9'")
    database.close()
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(StoreError, match=rf"has schema {version}, written by mmauto 9.9; upgrade"):
        StudyStore.open(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("this is not a database, it is a text of some length" * 50)
    with pytest.raises(StoreError, match="needs a database that can be read and written"):
        StudyStore.open(tmp_path)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="needs a folder that can be written"):
        save_truth(tmp_path / "file" / "study", TRUTH, GROUPS, IDS)


def test_damaged_predictions_say_which_file(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.npz", {"valid/y": np.zeros(3)})
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:40])
    with pytest.raises(
        StoreError, match=r"predictions listed in the study must be readable, .*a.npz"
    ):
        load_arrays(tmp_path / "a.npz")


def test_our_tables_do_not_take_optunas_names(tmp_path: Path) -> None:
    make(tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as database:
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    tables = {name for name in names if not name.startswith(("sqlite_", "ix_"))}
    assert tables == {table.name for table in schema.metadata.sorted_tables}
    assert all(name.startswith("mmauto_") for name in tables)


def test_the_writer_keeps_the_order_and_batches(tmp_path: Path) -> None:
    engine = connect(sqlite_url(tmp_path / "x.db"))
    writer, seen, threads = Writer(engine), [], set()
    for place in range(50):
        writer.put(lambda _, place=place: (seen.append(place), threads.add(threading.get_ident())))
    writer.flush()
    assert seen == list(range(50))
    assert threading.get_ident() not in threads
    writer.close()
    engine.dispose()


def test_the_coordinators_seconds_are_counted_and_go_on_after_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store = make(folder)
    (trial,) = store.begin([new(0)])
    begun = store.spent.told()["store"]
    store.finish(Outcome(trial, "complete", 0.7))
    store.flush()
    spent = store.spent.told()
    assert 0 < begun < spent["store"]  # what the writer's thread does counts, too
    store.set_study(facts={**store.facts, "spent": spent})
    store.close()
    again = StudyStore.open(folder)
    assert again is not None
    with again.spent.on("asking"):
        pass
    assert again.spent.told()["store"] == spent["store"]
    assert again.spent.told()["asking"] >= 0
    again.close()


def test_a_write_that_fails_surfaces_at_the_next_call(tmp_path: Path) -> None:
    engine = connect(sqlite_url(tmp_path / "x.db"))
    writer = Writer(engine)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    writer.put(full)
    with pytest.raises(StoreError, match="No space left on device; free space"):
        writer.flush()
    with pytest.raises(StoreError, match="results must be written"):
        writer.put(full)
    with pytest.raises(StoreError):
        writer.close()
    engine.dispose()
