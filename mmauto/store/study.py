"""One stored study: what the coordinator writes, and what everyone reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Update,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from mmauto.errors import StoreError
from mmauto.space import Params
from mmauto.store.database import connect, found, sqlite_url
from mmauto.store.files import PREDICTIONS, save_arrays, stored_predictions
from mmauto.store.lasting import lasting
from mmauto.store.place import FILE, HOME, home, new_place, noted, place_of, taken
from mmauto.store.reading import StudyReader
from mmauto.store.rows import begun, writable
from mmauto.store.schema import arms, epochs, studies, trials
from mmauto.store.seconds import SPENT, STORE, Seconds
from mmauto.store.writer import Writer
from mmauto.values import TaskView
from mmauto.views import ArmView

if TYPE_CHECKING:
    from mmauto.engine.jobs import Outcome

# of every trial, so they are built once: that takes longer than running them
END = update(trials).where(trials.c.id == bindparam("own"))
FORGET = delete(epochs).where(epochs.c.trial_id == bindparam("own"))
FORGET_LATER = FORGET.where(epochs.c.epoch >= bindparam("since"))
TELL = insert(epochs)


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


class StudyStore(StudyReader):
    """The only door to a study's tables and to the prediction files in its folder.

    One process writes (the coordinator); any number may read.

    Attributes:
        fence: is called before each transaction that writes; see `mmauto.store.lease.held`.
        spent: the coordinator's seconds by what it did, those of earlier runs included.
    """

    def __init__(self, engine: Engine, folder: Path, row: Row[Any]):
        super().__init__(engine, folder, row)
        self.fence: Callable[[], None] = lambda: None
        self.spent = Seconds(self.facts.get(SPENT, {}))
        self._writer: Writer | None = None

    @staticmethod
    def url(folder: Path) -> str:
        """The database in ``folder``, of a study that shares none."""
        return sqlite_url(folder / FILE)

    @classmethod
    def open(cls, folder: Path) -> StudyStore | None:
        """The study in ``folder``, or None where there is none yet; nothing is written.

        Raises:
            StoreError: its database cannot be read, or has lost the study.
        """
        place = place_of(folder)
        engine = found(place.url, begun=True) if place is not None else None
        row = None
        if place is not None and engine is not None:
            query = select(studies)
            named = query.where(studies.c.name == place.study) if place.study else query
            row = lasting(engine, lambda connection: connection.execute(named).first())
        if place is None or engine is None or row is None:  # killed before the study's row was made
            if engine is not None:
                engine.dispose()
            if place is not None and stored_predictions(folder):
                raise StoreError(
                    f"a study's database must hold its trials, {place.url} holds none although "
                    f"{folder} has predictions of some; restore it from a copy, or choose another "
                    "--name"
                )
            return None
        if place.study and noted(row.facts).get("token") != place.token:
            engine.dispose()
            raise taken(place.study, place.url, row.facts)
        try:
            return cls(engine, folder, row)
        except StoreError:
            engine.dispose()
            raise

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
        storage: str = "",
    ) -> StudyStore:
        """A new study in ``folder``, where `save_truth` has already been.

        Args:
            storage: URL of a database that several studies share; empty: a file in the folder.

        Raises:
            StoreError: the database cannot be used, or has a study of this name.
        """
        place = new_place(folder, name, storage)
        engine = connect(place.url)
        noted = {**facts, HOME: home(folder, place)} if place.study else dict(facts)
        own = studies.c.name == name
        values = {
            "name": name, "created": time.time(), "config": dict(config), "task": asdict(task),
            "facts": noted, "environment": dict(environment), "command": command,
            "state": "searching",
        }  # fmt: skip

        def work(connection: Connection) -> Row[Any]:
            there = connection.execute(select(studies).where(own)).first()
            if there is None:
                connection.execute(insert(studies).values(**values))
                there = connection.execute(select(studies).where(own)).one()
            return there

        try:
            row = lasting(engine, work, purpose="written to")
        except IntegrityError:  # made by another process since `work` looked
            row = lasting(engine, work, purpose="written to")
        if row.facts.get(HOME) != noted.get(HOME):
            engine.dispose()
            raise taken(name, place.url, row.facts)
        store = cls(engine, folder, row)
        store.add_arms(views)
        return store

    @property
    def writer(self) -> Writer:
        """Started with the first write, so that readers have no thread."""
        if self._writer is None:
            self._writer = Writer(self.engine, self.fence, self.spent)
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

            def work(connection: Connection) -> None:
                # what an answer that was lost had already written goes first
                names = [view.name for view in fresh]
                own = (arms.c.study_id == self.id) & arms.c.name.in_(names)
                connection.execute(delete(arms).where(own))
                connection.execute(insert(arms), rows)

            lasting(self.engine, work, self.fence, "written to")

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
        tried = False

        def work(connection: Connection) -> list[int]:
            nonlocal tried
            there = begun(connection, rows) if tried else []
            tried = True
            statement = insert(trials).returning(trials.c.id, sort_by_parameter_order=True)
            return there or [row.id for row in connection.execute(statement, rows)]

        with self.spent.on(STORE):
            return lasting(self.engine, work, self.fence, "written to")

    def observe(self, epoch: int, values: Mapping[int, float]) -> None:
        """Record an epoch of trials that go on, within a second and behind the search.

        A trial that begins anew tells its epochs again: what it had from there on is forgotten.

        Args:
            values: trial id -> validation metric.
        """
        rows = [{"trial_id": i, "epoch": epoch, "value": value} for i, value in values.items()]
        later = [{"own": identity, "since": epoch} for identity in values]

        def work(connection: Connection) -> None:
            connection.execute(FORGET_LATER, later)
            connection.execute(TELL, rows)

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
            "failure_message": writable(failure.message) if failure else None,
            "failure_traceback": writable(failure.traceback) if failure else None,
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
            connection.execute(END, {"own": outcome.id, **row})
            connection.execute(FORGET, {"own": outcome.id})
            if history:
                connection.execute(TELL, history)

        self.writer.put(work, before=save)

    def set_study(self, **values: Any) -> None:
        """Change columns of the study's row, e.g. ``state``."""
        self.facts = values.get("facts", self.facts)
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
        """Return when everything is on disk.

        Raises:
            StoreError: something could not be written.
        """
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left and let go of the database."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self.engine.dispose()
