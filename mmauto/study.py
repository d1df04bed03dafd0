"""The facade: what the Python API and the CLI both call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.answers.compare import leaderboard_rows
from mmauto.answers.view import study_view
from mmauto.config import StudyConfig, difference, from_mapping
from mmauto.engine.jobs import Outcome
from mmauto.engine.metrics import METRICS
from mmauto.engine.process import ProcessExecutor
from mmauto.errors import ConfigError, StoreError
from mmauto.registry import Registry, load_registry
from mmauto.store.files import save_truth
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm, make_arms
from mmauto.tuning.confirm import Confirmation
from mmauto.tuning.crew import Crew, default_workers
from mmauto.tuning.importance import importances
from mmauto.tuning.mirror import mirror
from mmauto.tuning.prepare import Prepared, find_device, prepare
from mmauto.tuning.record import command, environment, write_study_toml
from mmauto.tuning.run import SEARCH_SHARE, Clock, Search
from mmauto.tuning.watch import Watcher
from mmauto.views import ConfirmationView, StudyView, TrialView

if TYPE_CHECKING:
    import pandas as pd


def _stored(folder: Path) -> StudyStore:
    store = StudyStore.open(folder)
    if store is None:
        raise StoreError(
            f"a study is a folder with a study.db, {folder} has none; name a study that "
            "`mmauto search` made, and its folder with --out"
        )
    return store


class Study:
    """A stored study.

    Args:
        folder: as `search` left it, e.g. ``studies/medical``.

    Raises:
        StoreError: there is no study in the folder.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        _stored(self.folder).close()
        self._view: StudyView | None = None

    def view(self) -> StudyView:
        """Everything that is stored, with the comparison; read once."""
        if self._view is None:
            with closing(_stored(self.folder)) as store:
                self._view = study_view(store)
        return self._view

    @property
    def state(self) -> str:
        """``searching``, ``confirming`` or ``finished``."""
        with closing(_stored(self.folder)) as store:
            return store.state[0]

    def leaderboard(self) -> pd.DataFrame:
        """One row an arm, best on validation first."""
        import pandas as pd

        return pd.DataFrame(leaderboard_rows(self.view().comparison))

    def best(self) -> ConfirmationView:
        """The winner's best confirmation run: chosen on validation, estimated on test.

        Raises:
            StoreError: nothing has been confirmed yet.
        """
        view = self.view()
        runs = [c for c in view.confirmations if c.arm == view.comparison.winner]
        if not runs:
            raise StoreError(
                f"a best model needs a confirmed arm, {self.folder} has none yet; continue with "
                f"`mmauto search --resume {self.folder.name} --out {self.folder.parent}`"
            )
        sign = 1.0 if METRICS[view.task.metric].maximise else -1.0
        return max(
            runs, key=lambda run: -sign * float("inf") if run.value is None else sign * run.value
        )

    def trials(self) -> Sequence[TrialView]:
        """The trials of the search."""
        return self.view().trials

    def report(self, path: Path | str | None = None, registry: Registry | None = None) -> Path:
        """Write the HTML report and the leaderboard files; the report's path."""
        from mmauto.report.export import write_leaderboard
        from mmauto.report.page import write_report

        place = Path(path) if path is not None else self.folder / "report.html"
        entries = (registry or load_registry()).all("section").values()
        write_report(self.view(), [e.component for e in entries], place)  # type: ignore[misc]
        write_leaderboard(self.view().comparison, self.folder)
        return place


def open(path: Path | str) -> Study:
    """A stored study, by its folder."""
    return Study(path)


def search(watcher: Watcher | None = None, **settings: Any) -> Study:
    """Search, confirm and report; continues where a study of the same name stands.

    Args:
        watcher: is told what happens.
        settings: the fields of `mmauto.config.StudyConfig`, e.g. ``task="medical"``,
            ``data="table.csv"``, ``target="label"``, ``trials=20``.

    Raises:
        MmautoError: the settings or the data cannot be used, or the study of that name has
            another configuration.
    """
    return run(from_mapping(settings), watcher or Watcher())


def resume(folder: Path, watcher: Watcher | None = None) -> Study:
    """Continue a stored study to its own totals."""
    with closing(_stored(folder)) as store:
        stored = dict(store.config)
    config = from_mapping({**stored, "name": folder.name, "out": str(folder.parent)})
    return run(config, watcher or Watcher())


def run(config: StudyConfig, watcher: Watcher) -> Study:
    """Everything from the configuration to the report.

    A KeyboardInterrupt is passed on after what there is has been stored and reported.
    """
    start = time.monotonic()
    took_in: list[Callable[[Outcome], None]] = []
    # workers import torch while the data is read
    device = find_device(config.device)
    runners = [
        ProcessExecutor(config.trial_timeout, watcher.saying, lambda outcome: took_in[-1](outcome))
        for _ in range(config.workers or default_workers(device))
    ]
    crew = Crew(runners)
    try:
        registry = load_registry()
        prepared = prepare(config, registry, device)
        config = prepared.config
        arms = make_arms(registry, prepared.task, config)
        store = _open(config, prepared, arms)
        for runner in runners:
            runner.use(prepared.setup)
    except BaseException:
        crew.close()
        raise
    try:
        _work(config, watcher, crew, store, arms, prepared, took_in, start)
    except KeyboardInterrupt:
        crew.close()
        _leave(store, start)
        _report(config, registry)
        raise
    except BaseException:
        crew.close()
        store.close()
        raise
    _leave(store, start)
    return _report(config, registry)


def _work(
    config: StudyConfig,
    watcher: Watcher,
    crew: Crew,
    store: StudyStore,
    arms: Sequence[Arm],
    prepared: Prepared,
    took_in: list[Callable[[Outcome], None]],
    start: float,
) -> None:
    """Search, confirm, and what follows from the trials."""
    watcher.data(prepared.setup.dataset.roles, prepared.findings)
    maximise = METRICS[prepared.task.metric].maximise
    clock = Clock(None if config.time is None else SEARCH_SHARE * config.time, start)
    hunt = Search(store, arms, config, crew, watcher, prepared.rows["train"], maximise, clock)
    proof = Confirmation(store, arms, config, crew, watcher, maximise)
    watcher.started(
        [arm.view for arm in arms], {arm.name: hunt.total(arm) for arm in arms},
        config.confirm_seeds, maximise,
    )  # fmt: skip
    took_in.append(hunt.ended)
    hunt.run()
    store.set_study(state="confirming")
    took_in.append(proof.ended)
    proof.run()
    crew.close()
    watcher.saying("writing the report")
    _wrap_up(store, arms, maximise)
    store.set_study(state="finished")


def _leave(store: StudyStore, start: float) -> None:
    store.set_study(seconds=store.state[1] + time.monotonic() - start)
    store.close()


def _report(config: StudyConfig, registry: Registry) -> Study:
    study = Study(config.folder)
    if study.trials():
        study.report(registry=registry)
    return study


def _open(config: StudyConfig, prepared: Prepared, arms: Sequence[Arm]) -> StudyStore:
    """The stored study of this name, or a new one.

    Raises:
        ConfigError: the stored one has another configuration, or the data has changed.
    """
    store = StudyStore.open(config.folder)
    if store is None:
        about = environment(prepared.setup.device)
        facts = {
            "rows": prepared.rows, "ceiling": dict(prepared.ceiling),
            "findings": [asdict(found) for found in prepared.findings],
            "roles": [asdict(guess) for guess in prepared.setup.dataset.roles],
            "fingerprint": prepared.fingerprint, "licence": prepared.setup.dataset.licence,
        }  # fmt: skip
        truth = prepared.truth(), prepared.groups(), prepared.ids()
        save_truth(config.folder, *truth)
        write_study_toml(config.folder / "study.toml", config, about, prepared.fingerprint)
        return StudyStore.create(
            config.folder, config.name, config.identity(), prepared.task, facts, about,
            command(config), [arm.view for arm in arms],
        )  # fmt: skip
    # settings that are newer than the stored study count as their defaults
    stored = from_mapping({**store.config, "name": config.name}).identity()
    changed = difference(stored, config.identity())
    same_data = store.facts["fingerprint"] == prepared.fingerprint
    if changed or not same_data:
        store.close()
        what = "; ".join(changed) or "the rows, labels or splits of the data"
        raise ConfigError(
            f"a study continues only with its own configuration, {config.folder} differs in: "
            f"{what}; use --name for a new study, or --resume {config.name} to continue as it is"
        )
    return store


def _wrap_up(store: StudyStore, arms: Sequence[Arm], maximise: bool) -> None:
    """Importances and Optuna's copy, once the trials are complete."""
    store.flush()
    trials = store.trials()
    for arm in arms:
        own = [trial for trial in trials if trial.arm == arm.name]
        store.set_arm(arm.name, importances=importances(arm, own, maximise))
    store.flush()
    mirror(store, arms, maximise)


__all__ = ["Study", "open", "resume", "run", "search"]
