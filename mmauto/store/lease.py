"""One search at a time writes a study; readers need no permission.

A folder is held by an operating system's file lock, which ends with its process however that ends
and knows no clock. In PostgreSQL the study's name is held too, by an advisory lock on a connection
of its own: two machines need not share the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mmauto.errors import StoreError
from mmauto.store.database import new_engine
from mmauto.store.lasting import lasting
from mmauto.store.place import settle

LOCK = "study.lock"
HOLDER = "study.lock.json"
WAIT_SECONDS = 2.0
"""A killed search's lock may outlive it by a moment."""

HOLDERS = text(
    "SELECT application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE "
    "locktype = 'advisory' AND objsubid = 1 AND classid::bigint = :high AND objid::bigint = :low"
)


@contextmanager
def held(folder: Path, name: str, storage: str) -> Iterator[Callable[[], None]]:
    """Hold a study while a search writes it.

    Args:
        folder: the study's; made if need be.
        name: the study's in a shared database.
        storage: URL of a shared database; empty: where the study is, or its folder.

    Yields:
        What to call before each transaction: it sees that the study is still held.

    Raises:
        StoreError: another search holds it, the folder cannot be written, the database cannot be
            used, or its study of this name is another folder's.
    """
    with _folder_held(folder):
        url = settle(folder, name, storage)
        if not url.startswith("postgresql"):
            yield lambda: None
            return
        lock = _ServerLock(url, name)
        try:
            lasting(lock.engine, lambda _: None, lock.check)
            yield lock.check
        finally:
            lock.release()


@contextmanager
def _folder_held(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=WAIT_SECONDS)
    except Timeout:
        raise _refused(str(folder), _holder(folder)) from None
    except OSError as error:
        raise StoreError(
            f"a study needs a folder that can be written, {folder} is not one "
            f"({error.strerror}); choose another --out"
        ) from error
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        with suppress(OSError):  # the lock counts, the note is a courtesy
            (folder / HOLDER).write_text(json.dumps(about))
        yield
    finally:
        with suppress(OSError):  # somebody may have removed the folder
            (folder / HOLDER).unlink(missing_ok=True)
            if made and {file.name for file in folder.iterdir()} == {LOCK}:  # refused: no trace
                (folder / LOCK).unlink()
                folder.rmdir()
        lock.release()


def _holder(folder: Path) -> str:
    try:
        about = json.loads((folder / HOLDER).read_text())
        return f"process {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # just taken, or just let go
        return "another process"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def _refused(what: str, who: str) -> StoreError:
    return StoreError(
        f"one search at a time writes a study, {what} is held by {who}; wait for it or stop it, "
        "then use the same command again, or choose another --name"
    )


class _ServerLock:
    """A PostgreSQL session that holds a study's name."""

    def __init__(self, url: str, name: str):
        self.url, self.name = url, name
        self.engine = new_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self.key = int.from_bytes(hashlib.sha256(f"mmauto {name}".encode()).digest()[:8]) >> 1
        self.connection: Connection | None = None
        self.mutex = threading.Lock()

    def check(self) -> None:
        """See that the session lives; a lost one is replaced, unless another search was faster.

        Raises:
            StoreError: another search holds the study now.
            DBAPIError: the server is away.
        """
        with self.mutex:
            if self.connection is not None:
                try:
                    self.connection.execute(text("SELECT 1"))
                    return
                except DBAPIError:
                    self._drop()
            self.connection = self.engine.connect()
            try:
                self._take(self.connection)
            except BaseException:
                self._drop()
                raise

    def _take(self, connection: Connection) -> None:
        settings = {"application_name": f"mmauto {os.getpid()} {socket.gethostname()}"[:63]}
        # a machine that is gone frees its lock within a minute
        settings |= {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10"}
        for name, value in settings.items():
            setting = {"name": name, "value": value}
            connection.execute(text("SELECT set_config(:name, :value, false)"), setting)
        until = time.monotonic() + WAIT_SECONDS
        take = text("SELECT pg_try_advisory_lock(:key)")
        while not connection.execute(take, {"key": self.key}).scalar_one():
            if time.monotonic() > until:
                raise _refused(f"{self.name!r} in {self.url}", self._owner(connection))
            time.sleep(0.1)

    def _owner(self, connection: Connection) -> str:
        halves = {"high": self.key >> 32, "low": self.key & 0xFFFFFFFF}
        row = connection.execute(HOLDERS, halves).first()
        if row is None or not row.application_name.startswith("mmauto "):
            return "another process"
        _, process, host = row.application_name.split(" ", 2)
        return f"process {process} on {host} since {row.backend_start:%Y-%m-%d %H:%M:%S %z}"

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.invalidate()
            self.connection.close()
            self.connection = None

    def release(self) -> None:
        """End the session, and with it the lock."""
        with self.mutex:
            self._drop()
            self.engine.dispose()
