"""Writes behind the search: one thread, one transaction for all that has piled up.

Little waits for company: while one transaction is written, the next one's work piles up by itself.
So a kill loses what ended within the last few milliseconds, and `Writer.flush` returns at once.
Work that says so waits, for other work to go with or for `PATIENCE` seconds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from mmauto.errors import StoreError
from mmauto.store.lasting import lasting, unusable
from mmauto.store.seconds import STORE, Seconds

Work = Callable[[Connection], None]
Preparation = Callable[[], None]

PATIENCE = 0.5
"""Seconds after which work that can wait is written."""


@dataclass(frozen=True)
class _Item:
    before: Preparation
    work: Work
    waits: bool


class Writer:
    """Runs pieces of work in order, batched; an error surfaces at the next call.

    Work must be safe to repeat: it is, where the connection is lost in the middle.

    Args:
        fence: is called before each transaction.
        spent: where the time of writing is counted.
    """

    def __init__(
        self,
        engine: Engine,
        fence: Callable[[], None] = lambda: None,
        spent: Seconds | None = None,
    ):
        self.engine, self.fence, self.spent = engine, fence, spent or Seconds()
        self.queue: queue.Queue[_Item | threading.Event | None] = queue.Queue()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="mmauto-store", daemon=True)
        self.thread.start()

    def put(self, work: Work, before: Preparation = lambda: None, waits: bool = False) -> None:
        """Do this soon.

        Args:
            waits: it can wait for `PATIENCE` seconds.
            before: what must be done first but needs no transaction, e.g. writing a file: the
                database stays open to others for as long.

        Raises:
            StoreError: earlier work could not be written.
        """
        self.check()
        self.queue.put(_Item(before, work, waits))

    def flush(self) -> None:
        """Return when everything put so far is on disk.

        Raises:
            StoreError: something could not be written.
        """
        done = threading.Event()
        self.queue.put(done)
        done.wait()
        self.check()

    def close(self) -> None:
        """Write what is left and end the thread."""
        self.queue.put(None)
        self.thread.join()
        self.check()

    def check(self) -> None:
        """Pass on an error of earlier work.

        Raises:
            StoreError: something could not be written.
        """
        if isinstance(self.error, StoreError):
            raise StoreError(str(self.error)) from self.error
        if self.error is not None:
            raise unusable(self.engine, self.error) from self.error

    def _run(self) -> None:
        open_ = True
        while open_:
            items = self._next()
            work = [item for item in items if isinstance(item, _Item)]
            if work and self.error is None:
                self._write(work)
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            open_ = None not in items

    def _next(self) -> list[_Item | threading.Event | None]:
        """What is to be done now, in order: one thing at least, and all that is there."""
        items = [self.queue.get()]
        due = time.monotonic() + PATIENCE
        while all(isinstance(item, _Item) and item.waits for item in items):
            try:
                items.append(self.queue.get(timeout=max(0.0, due - time.monotonic())))
            except queue.Empty:
                return items
        while not self.queue.empty():
            items.append(self.queue.get())
        return items

    def _write(self, work: list[_Item]) -> None:
        def together(connection: Connection) -> None:
            for item in work:
                item.work(connection)

        try:
            with self.spent.on(STORE):
                for item in work:
                    item.before()
                lasting(self.engine, together, self.fence, "written to")
        except Exception as error:
            self.error = error
