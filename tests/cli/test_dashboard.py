"""``mmauto dashboard``: optuna-dashboard on a copy, which a running search never notices."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import pytest

from mmauto.cli.dashboard import optuna_copy
from mmauto.cli.main import main
from mmauto.config import from_mapping
from mmauto.engine.jobs import Outcome
from mmauto.errors import StoreError
from mmauto.registry import load_registry
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm, make_arms
from mmauto.tuning.mirror import mirror
from mmauto.tuning.sampler import start_up
from mmauto.values import TargetSpec, TaskView

TASK = TaskView(
    "notes", {"text": "text", "tabular": "tabular"}, {"y": TargetSpec("y", "binary", ("a", "b"))},
    "y", "accuracy",
)  # fmt: skip
CONFIG = from_mapping(
    {"data": "x.csv", "target": ["y"], "name": "s", "fusions": ["concat_mlp"],
     "encoders": ["bag_of_words", "mlp"]}
)  # fmt: skip


@pytest.fixture(scope="module")
def arm() -> Arm:
    return make_arms(load_registry(), TASK, CONFIG)[0]


@pytest.fixture
def store(tmp_path: Path, arm: Arm) -> Iterator[StudyStore]:
    """The study of a search that goes on: three trials have ended, one runs."""
    folder = tmp_path / "studies" / "s"
    sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
    save_truth(folder, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
    views = [one.view for one in make_arms(load_registry(), TASK, CONFIG)]
    found = StudyStore.create(folder, "s", CONFIG.identity(), TASK, {}, {}, "", views)
    places = [NewTrial(arm.name, "search", 0, n, 0, start_up(arm, 0, n)) for n in range(4)]
    for n, trial in enumerate(found.begin(places)[:3]):
        found.finish(Outcome(trial, "complete", n / 10, 1, (0.0, n / 10), (), 2.0))
    found.flush()
    yield found
    found.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """As if optuna-dashboard was there; what it was asked to show, and what it found there."""
    asked: list[dict[str, Any]] = []

    def run_server(storage: str, host: str, port: int) -> None:
        values = {name: trials(storage, name) for name in optuna.get_all_study_names(storage)}
        asked.append({"storage": storage, "host": host, "port": port, "values": values})

    module = ModuleType("optuna_dashboard")
    module.run_server = run_server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)
    return asked


def trials(url: str, name: str) -> list[float | None]:
    storage = optuna.storages.RDBStorage(url)
    found = [t.value for t in optuna.load_study(study_name=name, storage=storage).get_trials()]
    storage.remove_session()
    storage.engine.dispose()
    return found


def tables(folder: Path) -> set[str]:
    connection = sqlite3.connect(folder / "study.db")
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["dashboard", *words])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_running_search_is_shown_as_it_is_now(
    store: StudyStore, served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], arm: Arm
) -> None:
    out = str(store.folder.parent)
    with pytest.raises(SystemExit) as stop:
        main(["dashboard", "s", "--out", out, "--port", "8099"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == (
        "http://localhost:8099/ shows 3 trials of s as they are now; Ctrl-C ends\n"
    )
    (asked,) = served
    assert (asked["host"], asked["port"]) == ("localhost", 8099)
    assert asked["values"][f"s/{arm.name}"] == [0.0, 0.1, 0.2]
    assert asked["values"]["s/boosting"] == []
    assert "studies" not in tables(store.folder)  # the search's own file is as it was
    assert not Path(asked["storage"].removeprefix("sqlite:///")).exists()


def test_a_search_is_not_held_up(store: StudyStore, tmp_path: Path, arm: Arm) -> None:
    (tmp_path / "copy").mkdir()
    with store.engine.begin() as writing:  # a transaction of the search is open
        writing.exec_driver_sql("UPDATE mmauto_studies SET seconds = 7")
        url, ended = optuna_copy(store.folder, tmp_path / "copy")
    assert ended == 3
    assert store.state == ("searching", 7.0)
    assert trials(url, f"s/{arm.name}") == [0.0, 0.1, 0.2]


def test_a_finished_study_is_copied_with_what_its_search_mirrored(
    store: StudyStore, tmp_path: Path, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(store, [arm], True)
    store.set_study(state="finished")
    store.flush()
    monkeypatch.delattr("mmauto.tuning.arms.make_arms")  # its plugins may be gone
    (tmp_path / "copy").mkdir()
    url, ended = optuna_copy(store.folder, tmp_path / "copy")
    assert ended == 3
    assert trials(url, f"s/{arm.name}") == [0.0, 0.1, 0.2]


def test_without_the_package_one_sentence_says_what_to_install(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    message = refused(capsys, "s", "--out", str(store.folder.parent))
    assert message.startswith("mmauto: `mmauto dashboard` needs optuna-dashboard, which cannot be")
    assert message.endswith("`pip install mmauto[dashboard]`\n")
    assert message.count("\n") == 1


def test_a_port_that_is_taken(
    store: StudyStore, served: list[Any], monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def taken(*_: Any, **__: Any) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(sys.modules["optuna_dashboard"], "run_server", taken)
    message = refused(capsys, "s", "--out", str(store.folder.parent))
    assert message == (
        "mmauto: the dashboard needs a free port, 8080 is not one (Address already in use); choose "
        "another --port\n"
    )


def test_a_study_that_is_not_there(served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "none", "--out", "nowhere")
    assert "a study is a folder with a study.db, nowhere/none has none; name a study" in message


def test_a_database_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 1000)
    (tmp_path / "copy").mkdir()
    with pytest.raises(StoreError) as error:
        optuna_copy(tmp_path, tmp_path / "copy")
    assert str(error.value) == (
        f"a dashboard needs a database that can be read, {tmp_path / 'study.db'} is not one: file "
        "is not a database; restore it from a copy"
    )


def test_a_study_that_has_only_just_begun(tmp_path: Path, store: StudyStore) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "copy").mkdir()
    source = sqlite3.connect(store.folder / "study.db")
    copy = sqlite3.connect(empty / "study.db")
    source.backup(copy)
    source.close()
    copy.execute("DELETE FROM mmauto_studies")
    copy.commit()
    copy.close()
    with pytest.raises(StoreError) as error:
        optuna_copy(empty, tmp_path / "copy")
    assert str(error.value) == (
        f"{empty} holds no trials yet; start the dashboard when its search runs"
    )
