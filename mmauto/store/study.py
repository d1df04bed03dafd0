"""One stored study: what the coordinator writes, and what everyone reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, Update, delete, insert, select, update

from mmauto.space import Params
from mmauto.store.database import connect, sqlite_url
from mmauto.store.files import PREDICTIONS, SUBGROUPS, TRUTH, load_arrays, save_arrays, under
from mmauto.store.rows import failure_of, history, task_of
from mmauto.store.schema import arms, epochs, studies, trials
from mmauto.store.writer import Writer
from mmauto.values import TaskView
from mmauto.views import ArmView, ConfirmationView, Costs, Predictions, TrialView

if TYPE_CHECKING:
    from mmauto.engine.jobs import Outcome

BEFORE: Mapping[str, Any] = {"pack": 1, "finetune": "none"}
"""Settings that studies were stored without, and what they were then; all others newer than a study
count as their defaults."""

MOST_VALIDATED = 100
"""Trials an arm whose predictions are read to tell the luck of choosing."""


@dataclass(frozen=True)
class NewTrial:
    """A trial that is about to run; see `mmauto.store.schema.trials`."""

    arm: str
    purpose: str
    generation: int
    number: int
    seed: int
    params: Params
    source: int | None = None


class StudyStore:
    """The only door to a study's tables and to the prediction files beside them.

    One process writes (the coordinator); any number may read.
    """

    def __init__(self, engine: Engine, folder: Path, row: Row[Any]):
        self.engine, self.folder = engine, folder
        self.id: int = row.id
        self.name: str = row.name
        self.config: Mapping[str, Any] = {**BEFORE, **row.config}
        self.facts: Mapping[str, Any] = row.facts
        self.environment: Mapping[str, Any] = row.environment
        self.command: str = row.command
        self.created: float = row.created
        self.task = task_of(row.task)
        self._writer: Writer | None = None

    @staticmethod
    def url(folder: Path) -> str:
        """The database of the study in ``folder``."""
        return sqlite_url(folder / "study.db")

    @classmethod
    def open(cls, folder: Path) -> StudyStore | None:
        """The study in ``folder``, or None where there is none yet."""
        if not (folder / "study.db").exists():
            return None
        engine = connect(cls.url(folder))
        with engine.connect() as connection:
            row = connection.execute(select(studies)).first()
        if row is None:  # killed between making the tables and the study
            engine.dispose()
            return None
        return cls(engine, folder, row)

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        config: Mapping[str, Any],
        task: TaskView,
        facts: Mapping[str, Any],
        environment: Mapping[str, Any],
        command: str,
        views: Sequence[ArmView],
    ) -> StudyStore:
        """A new study in ``folder``, where `save_truth` has already been."""
        engine = connect(cls.url(folder))
        with engine.begin() as connection:
            connection.execute(
                insert(studies).values(
                    name=name, created=time.time(), config=dict(config), task=asdict(task),
                    facts=dict(facts), environment=dict(environment), command=command,
                    state="searching",
                )
            )  # fmt: skip
            row = connection.execute(select(studies)).one()
        found = cls(engine, folder, row)
        found.add_arms(views)
        return found

    # ------------------------------------------------------------------------------- writing

    @property
    def writer(self) -> Writer:
        """Started with the first write, so that readers have no thread."""
        if self._writer is None:
            self._writer = Writer(self.engine)
        return self._writer

    def add_arms(self, views: Sequence[ArmView]) -> None:
        """Arms that are not stored yet, behind those that are."""
        known = {view.name for view in self.arms()}
        fresh = [view for view in views if view.name not in known]
        rows: list[dict[str, Any]] = [
            {
                "study_id": self.id, "name": view.name, "position": position, "kind": view.kind,
                "component": view.component, "stage": view.stage, "summary": view.summary,
                "importances": {},
            }
            for position, view in enumerate(fresh, len(known))
        ]  # fmt: skip
        if rows:
            with self.engine.begin() as connection:
                connection.execute(insert(arms), rows)

    def begin(self, fresh: Sequence[NewTrial]) -> list[int]:
        """Record trials as running, in one transaction; their ids in order.

        Raises:
            StoreError: earlier work could not be written.
        """
        self.writer.check()
        rows = [
            {**asdict(trial), "params": dict(trial.params), "study_id": self.id,
             "state": "running", "started": time.time(), "costs": {}}
            for trial in fresh
        ]  # fmt: skip
        with self.engine.begin() as connection:
            statement = insert(trials).returning(trials.c.id, sort_by_parameter_order=True)
            return [row.id for row in connection.execute(statement, rows)]

    def observe(self, epoch: int, values: Mapping[int, float]) -> None:
        """Record an epoch of trials that go on, within a second and behind the search.

        A trial that begins anew tells its epochs again: what it had from there on is forgotten.

        Args:
            values: trial id -> validation metric.
        """
        rows = [{"trial_id": i, "epoch": epoch, "value": value} for i, value in values.items()]

        def work(connection: Connection) -> None:
            later = (epochs.c.trial_id.in_(values)) & (epochs.c.epoch >= epoch)
            connection.execute(delete(epochs).where(later))
            connection.execute(insert(epochs), rows)

        if rows:
            self.writer.put(work, waits=True)

    def finish(self, outcome: Outcome) -> None:
        """Record what became of a trial, soon and behind the search."""
        failure = outcome.failure
        predicted = {f"valid/{n}": v for n, v in outcome.valid.items()}
        predicted |= {f"test/{n}": v for n, v in outcome.test.items()}
        file = f"{PREDICTIONS}/{outcome.id}.npz" if predicted else None
        row = {
            "state": outcome.state, "value": outcome.value, "best_epoch": outcome.best_epoch,
            "seconds": outcome.seconds, "costs": asdict(outcome.costs), "predictions": file,
            "failure_kind": failure.kind if failure else None,
            "failure_message": failure.message if failure else None,
            "failure_traceback": failure.traceback if failure else None,
        }  # fmt: skip
        history = [
            {"trial_id": outcome.id, "epoch": epoch, "value": value,
             "loss": outcome.losses[epoch] if epoch < len(outcome.losses) else None}
            for epoch, value in enumerate(outcome.curve)
        ]  # fmt: skip

        def save() -> None:
            if file is not None:
                save_arrays(self.folder / file, predicted)

        def work(connection: Connection) -> None:
            connection.execute(update(trials).where(trials.c.id == outcome.id).values(**row))
            connection.execute(delete(epochs).where(epochs.c.trial_id == outcome.id))
            if history:
                connection.execute(insert(epochs), history)

        self.writer.put(work, before=save)

    def set_study(self, **values: Any) -> None:
        """Change columns of the study's row, e.g. ``state``."""
        self._set(update(studies).where(studies.c.id == self.id).values(**values))

    def set_arm(self, name: str, **values: Any) -> None:
        """Change columns of an arm's row: ``importances``, ``parked``."""
        where = (arms.c.study_id == self.id) & (arms.c.name == name)
        self._set(update(arms).where(where).values(**values))

    def _set(self, statement: Update) -> None:
        def work(connection: Connection) -> None:
            connection.execute(statement)

        self.writer.put(work)

    def flush(self) -> None:
        """Return when everything is on disk."""
        self.writer.flush()

    def close(self) -> None:
        """Write what is left and let go of the database."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self.engine.dispose()

    # ------------------------------------------------------------------------------- reading

    @property
    def state(self) -> tuple[str, float]:
        """``searching``, ``confirming`` or ``finished``, and the seconds spent so far."""
        with self.engine.connect() as connection:
            row = connection.execute(
                select(studies.c.state, studies.c.seconds).where(studies.c.id == self.id)
            ).one()
        return row.state, row.seconds

    def arms(self) -> list[ArmView]:
        """The arms in the order in which they take turns."""
        query = select(arms).where(arms.c.study_id == self.id).order_by(arms.c.position)
        with self.engine.connect() as connection:
            return [
                ArmView(
                    r.name, r.kind, r.component, r.stage, r.summary, r.importances, bool(r.parked)
                )
                for r in connection.execute(query)
            ]

    def trials(self) -> list[TrialView]:
        """The trials of the search, in the order in which they were asked."""
        rows = self.rows("search")
        curves, losses = history(self.engine, self.id, "search")
        return [
            TrialView(
                r.id, r.arm, r.generation, r.number, r.state, r.params, r.value, r.best_epoch,
                curves.get(r.id, ()), losses.get(r.id, ()), r.seconds, r.started, failure_of(r),
            )
            for r in rows
        ]  # fmt: skip

    def confirmations(self) -> list[ConfirmationView]:
        """The confirmation runs that have ended."""
        rows = self.rows("confirm")
        curves, _ = history(self.engine, self.id, "confirm")
        found = []
        for r in rows:
            if r.state == "running":
                continue
            predicted = load_arrays(self.folder / r.predictions) if r.predictions else {}
            found.append(
                ConfirmationView(
                    r.arm, r.number, r.source, r.params, r.value, curves.get(r.id, ()),
                    under("valid/", predicted), under("test/", predicted),
                    Costs(**r.costs), failure_of(r),
                )
            )  # fmt: skip
        return found

    def validated(
        self, maximise: bool, most: int = MOST_VALIDATED
    ) -> Iterator[tuple[str, Predictions]]:
        """Arm and validation predictions of the best trials of each arm in the search.

        Args:
            maximise: whether more of the metric is better.
            most: trials an arm; worse ones would not be chosen whatever the luck.
        """
        ended = [row for row in self.rows("search") if row.predictions and row.value is not None]
        seen: dict[str, int] = {}
        for row in sorted(ended, key=lambda row: -row.value if maximise else row.value):
            seen[row.arm] = seen.get(row.arm, 0) + 1
            if seen[row.arm] <= most and row.state in ("complete", "pruned"):
                yield row.arm, under("valid/", load_arrays(self.folder / row.predictions))

    def truth(
        self,
    ) -> tuple[dict[str, Predictions], dict[str, np.ndarray | None], dict[str, np.ndarray]]:
        """Labels, groups and ids by split, as `save_truth` wrote them."""
        arrays = load_arrays(self.folder / TRUTH)
        splits = ("valid", "test")
        return (
            {split: under(f"truth/{split}/", arrays) for split in splits},
            {split: arrays.get(f"groups/{split}") for split in splits},
            under("ids/", arrays),
        )

    def subgroups(self) -> dict[str, np.ndarray]:
        """Column -> subgroup labels of the test rows; none where none were named."""
        return under(SUBGROUPS, load_arrays(self.folder / TRUTH))

    def rows(self, purpose: str) -> Sequence[Row[Any]]:
        """Rows of ``mmauto_trials``, those included that this process has yet to write."""
        if self._writer is not None:
            self._writer.flush()
        query = (
            select(trials)
            .where((trials.c.study_id == self.id) & (trials.c.purpose == purpose))
            .order_by(trials.c.id)
        )
        with self.engine.connect() as connection:
            return connection.execute(query).all()
