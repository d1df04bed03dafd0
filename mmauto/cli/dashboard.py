"""``mmauto dashboard``."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmauto.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from mmauto.store.study import StudyStore


@click.command("dashboard")
@click.argument("name")
@click.option("--port", default=8080, type=click.IntRange(1, 65535), help="Where it listens.")
@click.option("--out", default="studies", help="The folder that holds studies.")
def command(name: str, port: int, out: str) -> None:
    """Browse the trials of study NAME with optuna-dashboard, one Optuna study an arm.

    It shows a copy of the study as it is now, so a search that goes on is neither slowed nor
    changed; start it again for newer trials.
    """
    serve = _server()
    with tempfile.TemporaryDirectory(prefix="mmauto-dashboard-") as folder:
        url, trials = optuna_copy(Path(out) / name, Path(folder))
        click.echo(
            f"http://localhost:{port}/ shows {trials} trials of {name} as they are now; Ctrl-C ends"
        )
        try:
            serve(url, host="localhost", port=port)
        except OSError as error:
            raise ConfigError(
                f"the dashboard needs a free port, {port} is not one ({error.strerror or error}); "
                "choose another --port"
            ) from error


def optuna_copy(study: Path, folder: Path) -> tuple[str, int]:
    """A copy of a study's database in ``folder`` that holds Optuna's tables, too.

    Returns:
        Its URL, and the number of trials that have ended.

    Raises:
        StoreError: there is no study, or its database cannot be read.
    """
    from mmauto.store.place import storage_of
    from mmauto.store.study import StudyStore

    if storage_of(study):
        _copy_shared(study, folder)
    elif not (study / "study.db").exists():
        raise StoreError(
            f"a study is a folder with a study.db, {study} has none; name a study that "
            "`mmauto search` made, and its folder with --out"
        )
    else:
        _copy_file(study, folder)
    store = StudyStore.open(folder)
    if store is None:
        raise StoreError(f"{study} holds no trials yet; start the dashboard when its search runs")
    with closing(store):
        # a search fills Optuna's tables when it ends, but those of a server were not copied
        if store.state[0] != "finished" or storage_of(study):
            _mirror(store)
        ended = sum(trial.state != "running" for trial in store.trials())
    return store.url(folder), ended


def _copy_shared(study: Path, folder: Path) -> None:
    from mmauto.store.copying import copy_study
    from mmauto.store.study import StudyStore

    store = StudyStore.open(study)
    if store is not None:
        with closing(store):
            copy_study(store, folder)


def _copy_file(study: Path, folder: Path) -> None:
    try:
        # in one step: a reader of a write-ahead log holds no writer up
        with (
            closing(sqlite3.connect(f"{(study / 'study.db').resolve().as_uri()}?mode=ro", uri=True))
            as source,
            closing(sqlite3.connect(folder / "study.db")) as copy,
        ):  # fmt: skip
            source.backup(copy)
    except sqlite3.Error as error:
        raise StoreError(
            f"a dashboard needs a database that can be read, {study / 'study.db'} is not one: "
            f"{error}; restore it from a copy"
        ) from error


def _mirror(store: StudyStore) -> None:
    from mmauto.config import from_mapping
    from mmauto.engine.metrics import METRICS
    from mmauto.registry import load_registry
    from mmauto.tuning.arms import make_arms
    from mmauto.tuning.mirror import mirror

    trials = store.trials()
    used = {
        key: {str(t.params[f"{key}/encoder"]) for t in trials if f"{key}/encoder" in t.params}
        for key in store.task.modalities
    }
    config = from_mapping({**store.config, "name": "study"})
    arms = make_arms(load_registry(), store.task, config, used)
    mirror(store, arms, METRICS[store.task.metric].maximise)


def _server() -> Callable[..., None]:
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise ConfigError(
            f"`mmauto dashboard` needs optuna-dashboard, which cannot be used ({error}); "
            "`pip install mmauto[dashboard]`"
        ) from error
    return run_server  # type: ignore[no-any-return]
