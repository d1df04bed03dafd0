"""Opening a study's database: pragmas, schema version, migrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, Engine, event, insert, inspect, select, text

from mmauto.errors import StoreError
from mmauto.store import schema
from mmauto.version import __version__

MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {}
"""From a version to the next one, by name: ``{1: add_column_x}`` leads from 1 to 2."""

BUSY_SECONDS = 30


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return f"sqlite:///{path}"


def connect(url: str) -> Engine:
    """An engine on a database of this release's schema, which is made or migrated as needed.

    Raises:
        StoreError: it is no database, or a newer release wrote it.
    """
    engine = sqlalchemy.create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _pragmas)
    try:
        with engine.begin() as connection:
            _prepare(connection, url)
    except sqlalchemy.exc.DatabaseError as error:
        engine.dispose()
        raise StoreError(
            f"a study needs a database that can be read and written, {url} is not one: "
            f"{error.orig}; restore it from a copy, or choose another --name"
        ) from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def _pragmas(connection: sqlalchemy.engine.interfaces.DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare(connection: Connection, url: str) -> None:
    if not inspect(connection).has_table(schema.schema.name):
        schema.metadata.create_all(connection)
        connection.execute(
            insert(schema.schema).values(version=schema.VERSION, written_by=__version__)
        )
        return
    version, writer = connection.execute(
        select(schema.schema.c.version, schema.schema.c.written_by)
    ).one()
    if version > schema.VERSION:
        raise StoreError(
            f"this mmauto {__version__} reads schema {schema.VERSION}, {url} has schema "
            f"{version}, written by mmauto {writer}; upgrade mmauto to continue the study"
        )
    for step in range(version, schema.VERSION):
        MIGRATIONS[step](connection)
        connection.execute(text(f"UPDATE {schema.schema.name} SET version = {step + 1}"))
