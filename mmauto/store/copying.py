"""One study out of a shared database, as a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from mmauto.store.database import connect, sqlite_url
from mmauto.store.lasting import lasting
from mmauto.store.place import FILE
from mmauto.store.reading import StudyReader
from mmauto.store.schema import arms, epochs, studies, trials


def copy_study(store: StudyReader, folder: Path) -> None:
    """Write the study's tables, as they are now, into a new file in ``folder``.

    Raises:
        StoreError: the database cannot be read, or the file cannot be written.
    """
    own = trials.c.study_id == store.id
    owned = {
        studies: studies.c.id == store.id,
        arms: arms.c.study_id == store.id,
        trials: own,
        epochs: epochs.c.trial_id.in_(select(trials.c.id).where(own)),
    }

    def read(connection: Connection) -> list[list[dict[str, Any]]]:
        # backwards: what a row belongs to is not younger than the row
        found = [connection.execute(select(t).where(w)) for t, w in reversed(owned.items())]
        return [[dict(row._mapping) for row in rows] for rows in reversed(found)]

    tables = lasting(store.engine, read)
    engine = connect(sqlite_url(folder / FILE))

    def write(connection: Connection) -> None:
        for table, rows in zip(owned, tables, strict=True):
            if rows:
                connection.execute(insert(table), rows)

    lasting(engine, write, purpose="written to")
    engine.dispose()
