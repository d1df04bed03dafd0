"""Transactions that outlast a server's restart, and the sentence where they cannot."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from mmauto.errors import StoreError

LOST_SECONDS = 120.0
"""For so long a transaction is tried again while the server is away or the file is locked."""

Result = TypeVar("Result")


def lasting(
    engine: Engine,
    work: Callable[[Connection], Result],
    fence: Callable[[], None] = lambda: None,
    purpose: str = "read from",
) -> Result:
    """Run ``work`` in a transaction of its own, again and again while the connection is lost.

    Args:
        work: must be safe to repeat: a commit whose answer was lost may have happened.
        fence: runs before each attempt, e.g. to see that the study is still ours.
        purpose: for the message: ``read from`` or ``written to``.

    Raises:
        StoreError: the database stayed away for `LOST_SECONDS`, or cannot be used.
        IntegrityError: what is written contradicts what is there.
    """
    until, pause = 0.0, 0.05
    while True:
        try:
            fence()
            with engine.begin() as connection:
                return work(connection)
        except IntegrityError:
            raise
        except (ValueError, RecursionError) as error:  # JSON that is none, or too deep
            raise unusable(engine, error, purpose) from error
        except DBAPIError as error:
            until = until or time.monotonic() + LOST_SECONDS
            if not is_lost(error) or time.monotonic() > until:
                raise unusable(engine, error, purpose) from error
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


def is_lost(error: DBAPIError) -> bool:
    """Whether the same may succeed later: no connection, or a file that is locked."""
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the rest says more exactly why
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if error.connection_invalidated:
        return True
    # a statement is part of every error but those of connecting and committing; PostgreSQL's
    # classes 08 and 57 are lost connections and servers that start or stop
    state = getattr(error.orig, "sqlstate", None) or "08"
    away = state.startswith(("08", "57"))
    return away and isinstance(error, OperationalError) and error.statement is None


def reason(error: BaseException) -> str:
    """What a database driver says, as part of a sentence."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def unusable(engine: Engine, error: BaseException, purpose: str = "written to") -> StoreError:
    """The sentence for a database that failed in the middle."""
    remedy = (
        "free space or repair the folder"
        if engine.dialect.name == "sqlite"
        else "see that its server runs and has space"
    )
    return StoreError(
        f"results must be {purpose} {engine.url.render_as_string()}, that failed: {reason(error)}; "
        f"{remedy}, then continue with --resume"
    )
