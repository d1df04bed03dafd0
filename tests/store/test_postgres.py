"""A team's PostgreSQL: studies at once, a server that restarts, names, leases, passwords."""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import mmauto
from mmauto.cli.dashboard import optuna_copy
from mmauto.errors import StoreError
from mmauto.storage import without_password
from mmauto.store import lasting, lease
from mmauto.store.lease import held
from mmauto.store.place import settle
from mmauto.store.study import NewTrial, StudyStore

NewStudy = Callable[..., StudyStore]

pytestmark = [pytest.mark.slow, pytest.mark.fault("PostgreSQL")]

PASSWORD = "s3cret/and odd"
TRIALS, WRITERS, RESTARTS = 60, 4, 3


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of this test's own."""

    programs: Path
    folder: Path
    port: int

    def control(self, *words: str) -> None:
        command = [self.programs / "pg_ctl", "-D", self.folder / "data", "-w", *words]
        subprocess.run(self.owned(command), check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        options += " -c fsync=off"  # the server crashes here, the machine does not
        self.control("-l", str(self.folder / "log"), "-o", options, "start")

    def owned(self, command: list[str | Path]) -> list[str]:
        """As a user that PostgreSQL accepts: it refuses root."""
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        return [*as_user, *map(str, command)]

    def url(self, database: str, password: str = "s3cret%2Fand%20odd") -> str:
        return f"postgresql+psycopg://ann:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = programs[-1] if programs else shutil.which("pg_ctl")
    if found is None:
        pytest.skip("PostgreSQL's programs are not installed (Debian's package postgresql)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="mmauto-postgres-"))
    made = Server(Path(found).parent, folder, port)
    (folder / "password").write_text(PASSWORD)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for place in (folder, folder / "password"):
            os.chown(place, owner.pw_uid, owner.pw_gid)
    initdb: list[str | Path] = [
        made.programs / "initdb", "-D", folder / "data", "-U", "ann", "-A", "scram-sha-256",
        f"--pwfile={folder / 'password'}", "-E", "UTF8",
    ]  # fmt: skip
    subprocess.run(made.owned(initdb), check=True, stdout=subprocess.DEVNULL, cwd=folder)
    made.start()
    yield made
    made.control("-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    """A fresh database; its URL with the password."""
    import psycopg

    name = f"d{abs(hash(request.node.name))}"
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user="ann", password=PASSWORD, dbname="postgres",
        autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute(f"CREATE DATABASE {name}")
    return server.url(name)


WRITE = """
import sys
from pathlib import Path
import numpy as np
from mmauto.engine.jobs import Outcome
from mmauto.storage import without_password
from mmauto.store.files import save_truth
from mmauto.store.lease import held
from mmauto.store.study import NewTrial, StudyStore
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Failure

folder, count = Path(sys.argv[1]), int(sys.argv[2])
storage = without_password(sys.stdin.readline().strip(), "--storage")
folder.mkdir()
sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
save_truth(folder, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
task = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy")
views = [ArmView("one", "fusion", "one", "early", "")]
with held(folder, folder.name, storage) as fence:
    store = StudyStore.create(folder, folder.name, {}, task, {}, {}, "", views, storage)
    store.fence = fence
    for first in range(0, count, 4):
        numbers = range(first, first + 4)
        fresh = [NewTrial("one", "search", 0, n, 0, {"train/lr": n / 7}) for n in numbers]
        for number, identity in zip(numbers, store.begin(fresh), strict=True):
            for epoch in range(3):
                store.observe(epoch, {identity: epoch / 10})
            curve = (number / 100, 0.1, 0.2)
            if number % 10 == 9:
                failure = Failure("nan", "odd \\0 text \\udc80", "")
                store.finish(Outcome(identity, "failed", failure=failure))
                continue
            valid = {"y": np.full((2, 2), number, dtype=np.float32)}
            store.finish(Outcome(identity, "complete", 0.5, 1, curve, (1.0, 0.5, 0.2), 1.0, valid))
        store.flush()
        print(first, flush=True)
    store.set_study(state="finished")
    store.close()
"""


def write(folder: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE, str(folder), str(TRIALS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(f"{url}\n")
    process.stdin.flush()
    return process


def test_a_server_that_restarts_loses_and_doubles_nothing(
    tmp_path: Path,
    server: Server,
    database: str,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("injected", RESTARTS * WRITERS)
    folders = [tmp_path / f"study{place}" for place in range(WRITERS)]
    writers = [write(folder, database) for folder in folders]
    for _ in range(RESTARTS):
        assert writers[0].stdout is not None
        writers[0].stdout.readline()  # something is written
        time.sleep(random.Random(0).random())
        server.control("-m", "immediate", "stop")
        time.sleep(0.5)
        server.start()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    without_password(database, "")
    for folder in folders:
        found = StudyStore.open(folder)
        assert found is not None
        with closing(found):
            stored = found.trials()
            assert found.state[0] == "finished"
            assert [trial.index for trial in stored] == list(range(TRIALS))
            for trial in stored:
                if trial.index % 10 == 9:
                    assert trial.failure is not None
                    assert trial.failure.message == "odd \\0 text \\udc80"
                else:
                    assert trial.state == "complete"
                    assert trial.curve == (trial.index / 100, 0.1, 0.2)
                    assert (folder / "predictions" / f"{trial.id}.npz").exists()
            assert len(list((folder / "predictions").glob("[0-9]*"))) == 0.9 * TRIALS


def test_a_name_is_one_folders_and_one_searchs(
    tmp_path: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch,
    new_study: NewStudy,
) -> None:  # fmt: skip
    monkeypatch.setattr(lease, "WAIT_SECONDS", 0.3)
    storage = without_password(database, "")
    with held(tmp_path / "one", "m", storage) as fence:
        holder = f"process {os.getpid()} on {socket.gethostname()} since "
        sentence = re.escape(f"'m' in {storage} is held by {holder}")
        # another machine's folder
        with pytest.raises(StoreError, match=sentence), held(tmp_path / "two", "m", storage):
            pass
        with held(tmp_path / "other", "other", storage):
            pass
        new_study(tmp_path / "one", "m", storage).close()
        server.control("-m", "immediate", "restart")
        fence()  # it takes the name again
        shutil.copytree(tmp_path / "one", tmp_path / "copy")
        with pytest.raises(StoreError, match=sentence), held(tmp_path / "copy", "m", storage):
            pass
    with pytest.raises(StoreError, match=r"holds one study of a name, .* has 'm' of .*/one; choo"):
        settle(tmp_path / "two", "m", storage)
    with held(tmp_path / "one", "m", "") as fence:
        fence()


def test_a_search_that_lost_its_name_to_another_stops(
    tmp_path: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch,
    new_study: NewStudy,
) -> None:  # fmt: skip
    monkeypatch.setattr(lease, "WAIT_SECONDS", 0.3)
    storage = without_password(database, "")
    with held(tmp_path / "one", "m", storage) as fence:
        store = new_study(tmp_path / "one", "m", storage)
        store.fence = fence
        server.control("-m", "immediate", "restart")
        shutil.copytree(tmp_path / "one", tmp_path / "copy")
        sentence = "one search at a time writes a study"
        with held(tmp_path / "copy", "m", storage), pytest.raises(StoreError, match=sentence):
            store.begin([NewTrial("one", "search", 0, 0, 0, {})])
        store.close()


def test_what_cannot_be_reached_says_so_without_the_password(
    tmp_path: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "LOST_SECONDS", 0.2)
    for url, what in (
        (database.replace("odd", "wrong"), "password authentication failed"),
        (server.url("nothing"), 'database "nothing" does not exist'),
    ):
        with pytest.raises(StoreError, match=what) as caught:
            settle(tmp_path, "m", without_password(url, ""))
        assert "s3cret" not in str(caught.value)
        assert "PGPASSWORD or ~/.pgpass" in str(caught.value)


def run(*words: str, **extra: str) -> str:
    command = [sys.executable, "-m", "mmauto.cli.main", *words]
    environment = {**os.environ, **extra}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, path = random.Random(0), tmp_path_factory.mktemp("data") / "data.csv"
    rows = [(source.gauss(0, 1), source.choice(["dull day", "loud noise"])) for _ in range(160)]
    lines = [f"{text},{x},{'yes' if (x > 0) == ('loud' in text) else 'no'}" for x, text in rows]
    path.write_text("\n".join(["note,x,label", *lines]))
    return path


def test_a_whole_search_in_a_teams_database(
    tmp_path: Path, server: Server, database: str, table: Path
) -> None:
    out = tmp_path / "out"
    asked = [
        "search", "--data", str(table), "--text", "note", "--tabular", "x", "--target", "label",
        "--trials", "2", "--epochs", "2", "--confirm-seeds", "2", "--fusions", "concat_mlp",
        "--encoders", "bag_of_words", "--exclude", "boosting,logistic", "--workers", "1",
        "--probe-rows", "0", "--out", str(out), "--quiet",
    ]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:  # they make the tables, ours and Optuna's, together
        searches = [
            pool.submit(run, *asked, "--name", name, "--storage", database) for name in ("a", "b")
        ]
        said = [search.result() for search in searches]
    assert not list(out.rglob("study.db"))
    said += [run("search", "--resume", "a", "--out", str(out), PGPASSWORD=PASSWORD)]
    assert "nothing is left to train" in said[-1]
    without_password(database, "")
    assert mmauto.open(out / "b").report().exists()
    copy = tmp_path / "copy"
    copy.mkdir()
    _, ended = optuna_copy(out / "b", copy)
    assert ended == len(mmauto.open(out / "b").trials())
    view = mmauto.open(out / "a").view()
    assert {arm.name for arm in view.arms} >= {"concat_mlp", "text_only", "tabular_only"}
    assert all(trial.state in ("complete", "pruned") for trial in view.trials)
    assert view.comparison.winner
    assert "--storage postgresql+psycopg://ann@127.0.0.1" in view.command
    for file in (path for path in out.rglob("*") if path.is_file()):
        assert b"s3cret" not in file.read_bytes(), file
    assert "s3cret" not in "".join(said)

    import optuna

    storage = optuna.storages.RDBStorage(database)
    names = {study.study_name for study in storage.get_all_studies()}
    assert {"mmauto/a/concat_mlp", "mmauto/b/concat_mlp"} <= names
    study = optuna.load_study(study_name="mmauto/a/concat_mlp", storage=storage)
    assert len(study.trials) == 2
    storage.remove_session()
    storage.engine.dispose()
