"""Opening a database: connections, schema version, migrations."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event, insert, inspect, make_url, select, text

from mmauto.errors import StoreError
from mmauto.storage import complete
from mmauto.store import schema
from mmauto.store.lasting import is_lost, reason
from mmauto.version import __version__

MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {}
"""From a version to the next one, by name: ``{1: add_column_x}`` leads from 1 to 2."""

BUSY_SECONDS = 30

OPEN_SECONDS = 3.0
"""For so long a server may be restarting before it counts as away."""

LIBPQ: Mapping[str, int] = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
}  # fmt: skip
"""A PostgreSQL server that is gone is noticed within a minute; seconds, but for the count."""

MAKING = 0x6D6D6175746F
"""The advisory lock of a PostgreSQL database while its tables are made."""


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return f"sqlite:///{path}"


def connect(url: str) -> Engine:
    """An engine on a database of this release's schema, which is made or migrated as needed.

    Args:
        url: without a password; see `mmauto.storage`.

    Raises:
        StoreError: it is no database, its driver is missing, or a newer release wrote it.
    """
    return _opened(url, make=True)[0]


def found(url: str, begun: bool = False) -> Engine | None:
    """As `connect`, but None, and nothing is written, where the database has no studies' tables.

    Args:
        begun: a study is said to be there, so a file that has only others' tables is an error.

    Raises:
        StoreError: as `connect`.
    """
    file = make_url(url)
    if file.get_backend_name() == "sqlite":
        path = Path(str(file.database))
        if _empty(path):
            return None  # opening it would make it a database
        if _foreign(path):
            if begun:
                remedy = "restore it from a copy, or choose another --name"
                raise _no_database(url, "its tables are not mmauto's", remedy)
            return None
    engine, there = _opened(url, make=False)
    if there:
        return engine
    engine.dispose()
    return None


def new_engine(url: str, **options: Any) -> Engine:
    """An engine, before anything is known of the database.

    Raises:
        StoreError: SQLAlchemy does not know the kind of database, or its driver is missing.
    """
    target = complete(url)
    if target.get_backend_name() == "sqlite":
        target = _untouched(target)
    else:
        options["pool_pre_ping"] = True
    if target.drivername.startswith(("postgresql+psycopg", "postgresql:")):
        given = {name: value for name, value in LIBPQ.items() if name not in target.query}
        options["connect_args"] = given
    try:
        engine = sqlalchemy.create_engine(target, **options)
    except (ModuleNotFoundError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise StoreError(
            f"a database needs its driver, that of {url} cannot be used ({error}); for PostgreSQL "
            "`pip install mmauto[postgres]` and postgresql+psycopg://user@host/database"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _pragmas)
    return engine


def alone(connection: Connection, key: int = MAKING) -> None:
    """Wait until no other transaction is past this point; ends with the transaction."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _foreign(path: Path) -> bool:
    """Whether a file holds others' tables alone; to look changes neither it nor its log."""
    # without a log, only a file that counts as immutable gets none
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    query = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as file:
            names = {name for (name,) in file.execute(query)}
    except sqlite3.DatabaseError:  # who opens it hears why
        return False
    return bool(names) and schema.schema.name not in names


def _untouched(url: URL) -> URL:
    """A file in a folder that cannot be written is read as it is: a log beside it is impossible."""
    path = Path(str(url.database))
    if not path.exists() or os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists():
        return url
    query = {"immutable": "1", "uri": "true"}
    return url.set(database=f"file:{quote(str(path.absolute()))}", query=query)


def _pragmas(connection: sqlalchemy.engine.interfaces.DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000:.0f}",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _opened(url: str, make: bool) -> tuple[Engine, bool]:
    """An engine, and whether the tables are there."""
    engine = new_engine(url)
    until = time.monotonic() + OPEN_SECONDS
    try:
        while True:
            try:
                return engine, _prepared(engine, url, make)
            except sqlalchemy.exc.DatabaseError as error:
                if not is_lost(error) or time.monotonic() > until:
                    raise
                time.sleep(0.2)
    except sqlalchemy.exc.DatabaseError as error:
        engine.dispose()
        remedy = (
            "free space, restore it from a copy, or choose another --name"
            if engine.dialect.name == "sqlite"
            else "see that its server runs and lets you in: a password comes from the URL of "
            "--storage, or for PostgreSQL from PGPASSWORD or ~/.pgpass"
        )
        raise _no_database(url, reason(error), remedy) from error
    except StoreError:
        engine.dispose()
        raise


def _no_database(url: str, why: str, remedy: str) -> StoreError:
    return StoreError(
        f"a study needs a database that can be read and written, {url} is not one: {why}; {remedy}"
    )


def _prepared(engine: Engine, url: str, make: bool) -> bool:
    with engine.connect() as connection:
        version = _version(connection, url)
    if version is None and not make:
        return False
    if version != schema.VERSION:
        _brought_up(engine, url, version)
    if engine.dialect.name == "sqlite":  # the file is ours, and remembers it
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    return True


def _brought_up(engine: Engine, url: str, version: int | None) -> None:
    if version is not None and engine.dialect.name == "sqlite":
        _keep_copy(engine, version)
    with engine.begin() as connection:
        alone(connection)
        version = _version(connection, url)  # another process may have been faster
        if version is None:
            schema.metadata.create_all(connection)
            row = {"version": schema.VERSION, "written_by": __version__}
            connection.execute(insert(schema.schema).values(**row))
        for step in range(version or schema.VERSION, schema.VERSION):
            MIGRATIONS[step](connection)
            connection.execute(text(f"UPDATE {schema.schema.name} SET version = {step + 1}"))


def _version(connection: Connection, url: str) -> int | None:
    """The schema's version; None where there are no tables."""
    if not inspect(connection).has_table(schema.schema.name):
        return None
    row = connection.execute(select(schema.schema.c.version, schema.schema.c.written_by)).first()
    if row is not None and row.version not in range(1, schema.VERSION + 1):
        raise StoreError(
            f"this mmauto {__version__} reads schema {schema.VERSION}, {url} has schema "
            f"{row.version}, written by mmauto {row.written_by}; upgrade mmauto to continue the "
            "study, or restore it from a copy"
        )
    return None if row is None else row.version


def _keep_copy(engine: Engine, version: int) -> None:
    """Beside the file, as it is before a migration."""
    path = Path(f"{engine.url.database}.schema-{version}")
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.tmp")
    with closing(engine.raw_connection()) as source, closing(sqlite3.connect(fresh)) as copy:
        source.driver_connection.backup(copy)  # type: ignore[union-attr]
    fresh.replace(path)
