"""Writing survives locks, lost connections, damaged files and full disks, or says why not."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

import mmauto
from mmauto.engine.jobs import Outcome
from mmauto.errors import StoreError
from mmauto.store import database, lasting, schema
from mmauto.store.database import connect, sqlite_url
from mmauto.store.study import NewTrial, StudyStore

NewStudy = Callable[..., StudyStore]

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


def trials(*numbers: int) -> list[NewTrial]:
    return [NewTrial("one", "search", 0, number, 0, {"train/lr": 0.1}) for number in numbers]


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another program that locks the database."""
    command = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.fault("database")
def test_a_lock_of_another_program_is_waited_for(
    tmp_path: Path, new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    store = new_study(tmp_path)
    (first,) = store.begin(trials(0))
    with hold(tmp_path / "study.db", 1.5) as other:
        store.finish(Outcome(first, "complete", 0.5, 0, (0.5,)))
        (second,) = store.begin(trials(1))
        other.communicate()
    store.flush()
    assert [(t.id, t.state) for t in store.trials()] == [(first, "complete"), (second, "running")]
    store.close()


def test_a_lock_that_stays_ends_in_a_sentence(
    tmp_path: Path, new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(lasting, "LOST_SECONDS", 0.2)
    store = new_study(tmp_path)
    with hold(tmp_path / "study.db", 60) as other:
        with pytest.raises(
            StoreError, match=r"results must be written to .*database is locked; fre"
        ):
            store.begin(trials(0))
        other.kill()
        other.communicate()
    assert len(store.begin(trials(0))) == 1
    store.close()


class Lost(sqlalchemy.exc.OperationalError):
    """A connection that a server has ended."""

    def __init__(self) -> None:
        super().__init__("INSERT", {}, RuntimeError("terminating connection\ndetails"), True)
        self.connection_invalidated = True


@pytest.mark.fault("database")
@pytest.mark.parametrize("after_commit", [False, True])
def test_a_lost_answer_loses_and_doubles_nothing(
    tmp_path: Path, new_study: NewStudy, monkeypatch: pytest.MonkeyPatch, after_commit: bool
) -> None:
    """The connection goes with a transaction whose fate nobody was told."""
    store = new_study(tmp_path)
    begin, lost = store.engine.begin, []

    class Flaky:
        def __enter__(self) -> sqlalchemy.Connection:
            self.real = begin()
            return self.real.__enter__()

        def __exit__(self, *found: object) -> None:
            again = len(lost) % 2  # each transaction is lost once
            lost.append(after_commit)
            if again or after_commit:
                self.real.__exit__(*found)
            else:
                self.real.__exit__(Lost, Lost(), None)
            if not again:
                raise Lost

    monkeypatch.setattr(store.engine, "begin", Flaky)
    ids = store.begin(trials(0, 1, 2))
    store.observe(0, {ids[1]: 0.2})
    store.finish(Outcome(ids[0], "complete", 0.5, 1, (0.4, 0.5), (1.0, 0.9)))
    store.flush()
    monkeypatch.undo()
    assert len(lost) >= 4
    assert [(t.id, t.index, t.state, t.curve) for t in store.trials()] == [
        (ids[0], 0, "complete", (0.4, 0.5)),
        (ids[1], 1, "running", (0.2,)),
        (ids[2], 2, "running", ()),
    ]
    store.close()


@pytest.mark.slow
def test_a_server_that_stays_away_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "LOST_SECONDS", 0.1)
    engine = database.new_engine("postgresql+psycopg://ann@127.0.0.1:1/team")
    sentence = "written to postgresql.*//ann@127.0.0.1:1/team, that failed: .*see that its server"
    with pytest.raises(StoreError, match=sentence):
        lasting.lasting(engine, lambda _: None, purpose="written to")
    with pytest.raises(
        StoreError, match=r"needs a database that can be read.*server runs and lets"
    ):
        connect("postgresql+psycopg://ann@127.0.0.1:1/team")
    engine.dispose()


@pytest.mark.fault("database")
@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "header"])
def test_a_damaged_database_says_so_and_is_left_as_it_is(
    tmp_path: Path, new_study: NewStudy, damage: str
) -> None:
    store = new_study(tmp_path)
    for identity in store.begin(trials(*range(200))):
        store.finish(Outcome(identity, "complete", 0.5, 1, (0.5,) * 20, (1.0,) * 20, 1.0, {"y": 0}))
    store.close()
    path = tmp_path / "study.db"
    whole = path.read_bytes()
    left = {
        "empty": b"", "half": whole[: len(whole) // 2], "header": b"x" * 100 + whole[100:],
        "garbage": whole[:8192] + b"\xa5" * (len(whole) - 8192),
    }[damage]  # fmt: skip
    path.write_bytes(left)

    def read() -> None:
        found = StudyStore.open(tmp_path)
        assert found is not None
        with closing(found):
            found.trials()

    with pytest.raises(StoreError, match=f"{path}.*restore it from a copy|{path}.*repair the fol"):
        read()
    assert path.read_bytes() == left


@pytest.mark.fault("database")
def test_an_older_database_is_migrated_and_a_copy_is_kept(
    tmp_path: Path, new_study: NewStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_study(tmp_path)
    store.begin(trials(0))
    store.close()

    def add_column(connection: sqlalchemy.Connection) -> None:
        connection.execute(text("ALTER TABLE mmauto_trials ADD COLUMN colour VARCHAR(10)"))

    def fails(connection: sqlalchemy.Connection) -> None:
        add_column(connection)
        raise RuntimeError

    def columns(file: str) -> set[str]:
        with closing(sqlite3.connect(tmp_path / file)) as found:
            return {row[1] for row in found.execute("PRAGMA table_info(mmauto_trials)")}

    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(database, "MIGRATIONS", {1: fails})
    with pytest.raises(RuntimeError):
        StudyStore.open(tmp_path)
    assert "colour" not in columns("study.db")  # all of a migration or nothing
    monkeypatch.setattr(database, "MIGRATIONS", {1: add_column})
    for _ in range(2):
        found = StudyStore.open(tmp_path)
        assert found is not None
        assert len(found.trials()) == 1
        found.close()
    assert "colour" in columns("study.db")
    assert "colour" not in columns("study.db.schema-1")


@pytest.mark.fault("database")
def test_a_process_killed_while_it_made_the_tables_harms_nobody(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(sqlite_url(tmp_path / "x.db"))
    schema.metadata.create_all(engine)  # but no row that says which version
    engine.dispose()
    engine = connect(sqlite_url(tmp_path / "x.db"))
    with engine.connect() as connection:
        assert connection.execute(schema.schema.select()).one().version == schema.VERSION
    engine.dispose()


FILL = """
import sys, resource
from pathlib import Path
import numpy as np
from mmauto.engine.jobs import Outcome
from mmauto.errors import StoreError
from mmauto.store.study import NewTrial, StudyStore
store = StudyStore.open(Path(sys.argv[1]))
stored = 0
try:
    for number in range(10_000):
        new = NewTrial("one", "search", 0, number, 0, {"train/lr": 0.1})
        (identity,) = store.begin([new])
        rows = {"y": np.zeros((2000, 2), dtype=np.float32)}
        store.finish(Outcome(identity, "complete", 0.5, 1, (0.5,) * 20, (1.0,) * 20, 1.0, rows))
        store.flush()
        stored += 1
except StoreError as error:
    print(stored, error)
try:
    store.close()
except StoreError:
    pass
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.fault("disk")
def test_a_full_disk_ends_in_a_sentence_and_the_study_goes_on(
    small_disk: Path, new_study: NewStudy
) -> None:
    folder = small_disk / "s"
    new_study(folder).close()
    (small_disk / "ballast").write_bytes(b"x" * 200_000)
    command = [sys.executable, "-c", FILL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stored, _, sentence = done.stdout.partition(" ")
    assert int(stored) > 3
    assert sentence.startswith("results must be written to sqlite:///")
    assert "full" in sentence or os.strerror(errno.ENOSPC) in sentence
    assert "free space or repair the folder, then continue with --resume" in sentence
    assert not list(folder.rglob("*.tmp"))
    (small_disk / "ballast").unlink()
    found = StudyStore.open(folder)
    assert found is not None
    assert sum(t.state == "complete" for t in found.trials()) == int(stored)
    (identity,) = found.begin(trials(20_000))
    found.finish(Outcome(identity, "complete", 0.5, 0, (0.5,)))
    found.close()


@pytest.mark.fault("disk")
@pytest.mark.slow
def test_a_search_on_a_full_disk_ends_orderly_and_resumes(small_disk: Path) -> None:
    rows = [(place % 13 - 6.5, place % 2) for place in range(160)]
    lines = [f"{'loud' if b else 'dull'} day,{x},{'ny'[(x > 0) == b]}" for x, b in rows]
    table = small_disk.parent / "data.csv"
    table.write_text("\n".join(["note,x,label", *lines]))
    program, out = [sys.executable, "-m", "mmauto.cli.main", "search"], ["--out", str(small_disk)]
    asked = [
        "--data", str(table), "--text", "note", "--tabular", "x", "--target", "label", "--trials",
        "3", "--epochs", "2", "--confirm-seeds", "2", "--fusions", "concat_mlp", "--encoders",
        "bag_of_words", "--exclude", "boosting,logistic", "--workers", "1", "--probe-rows", "0",
    ]  # fmt: skip
    (small_disk / "ballast").write_bytes(b"x" * 1_950_000)
    done = subprocess.run([*program, *asked, *out, "--name", "d"], capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(r"mmauto: results must be written .*(full|left on device); free", done.stderr)
    assert "Traceback" not in done.stderr
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    subprocess.run([*program, *out, "--resume", "d"], check=True, capture_output=True)
    study = mmauto.open(small_disk / "d")
    assert study.state == "finished"
    counts = Counter(trial.arm for trial in study.trials())
    assert counts == {"concat_mlp": 3, "text_only": 3, "tabular_only": 3, "majority": 1}


@pytest.mark.fault("disk")
def test_a_study_in_a_folder_that_cannot_be_written_is_read(
    small_disk: Path, new_study: NewStudy
) -> None:
    folder = small_disk / "s"
    store = new_study(folder)
    store.begin(trials(0))
    store.close()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    found = StudyStore.open(folder)
    assert found is not None
    assert [trial.state for trial in found.trials()] == ["running"]
    with pytest.raises(StoreError, match=r"results must be written to .*readonly"):
        found.begin(trials(1))
    found.close()


def test_json_that_was_written_over_is_a_sentence(tmp_path: Path) -> None:
    engine = connect(sqlite_url(tmp_path / "study.db"))

    def broken(connection: Connection) -> None:
        json.loads("{")

    with pytest.raises(StoreError, match=r"results must be read from .* continue with --resume"):
        lasting.lasting(engine, broken)
    engine.dispose()
