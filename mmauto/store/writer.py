"""Writes behind the search: one thread, one transaction for all that has piled up."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from mmauto.errors import StoreError

Work = Callable[[Connection], None]
PATIENCE = 0.2
"""Seconds that work may wait for company, so that a busy search commits a few times a second."""


class Writer:
    """Runs pieces of work in order, batched; an error surfaces at the next call."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.queue: queue.Queue[Work | threading.Event | None] = queue.Queue()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="mmauto-store", daemon=True)
        self.thread.start()

    def put(self, work: Work) -> None:
        """Do this soon.

        Raises:
            StoreError: earlier work could not be written.
        """
        self._complain()
        self.queue.put(work)

    def flush(self) -> None:
        """Return when everything put so far is on disk.

        Raises:
            StoreError: something could not be written.
        """
        done = threading.Event()
        self.queue.put(done)
        done.wait()
        self._complain()

    def close(self) -> None:
        """Write what is left and end the thread."""
        self.queue.put(None)
        self.thread.join()
        self._complain()

    def _complain(self) -> None:
        if self.error is not None:
            raise StoreError(
                f"results must be written to {self.engine.url}, that failed: {self.error}; free "
                "space or repair the folder, then continue with --resume"
            ) from self.error

    def _run(self) -> None:
        open_ = True
        while open_:
            items = [self.queue.get()]
            threading.Event().wait(0 if not callable(items[0]) else PATIENCE)
            while not self.queue.empty():
                items.append(self.queue.get())
            work = [item for item in items if callable(item)]
            if work and self.error is None:
                self._write(work)
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            open_ = None not in items

    def _write(self, work: list[Work]) -> None:
        try:
            with self.engine.begin() as connection:
                for item in work:
                    item(connection)
        except Exception as error:
            self.error = error
