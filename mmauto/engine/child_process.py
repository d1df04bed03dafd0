"""A child process and the words that are said to it.

The child is started as a command of its own rather than forked or spawned by multiprocessing, so
that a user's script or notebook needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import IO, Any, Protocol

from mmauto.engine.jobs import Setup
from mmauto.engine.system_memory import oom_kills, peak_of, wait
from mmauto.errors import MmautoError

LOG_TAIL = 12

GRACE = 10.0
"""Seconds in which a child that hung up must have ended."""

START = 600.0
"""Seconds in which a child must have started."""


class LostExecutorError(Exception):
    """The child died or fell silent.

    Attributes:
        kind: ``killed`` or ``timeout``.
        log: the last lines that it printed.
        peak: bytes of memory that it had at most; 0 where that is not known.
    """

    def __init__(self, kind: str, message: str, log: str, peak: int = 0):
        super().__init__(message)
        self.kind, self.log, self.peak = kind, log, peak


class Child(Protocol):
    """The other end of an executor: whoever runs `mmauto.engine.child.serve`."""

    def connect(self, setup: Setup) -> None:
        """Wait for the child and hand it the setup; raises LostExecutorError where it is lost."""

    def send(self, message: Any) -> None:
        """Say something to it; raises LostExecutorError where it is gone."""

    def receive(self, silence: float) -> tuple[str, Any]:
        """Its next word; raises LostExecutorError where none comes for so many seconds."""

    def kill(self) -> None:
        """End it."""


class ChildProcess:
    """One process and the connection to it."""

    def __init__(self) -> None:
        key = secrets.token_bytes(32)
        self.listener = Listener(authkey=key)
        # closed by kill(), it lives as long as the process
        self.log: IO[str] = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        # the child must find the plugins that this process finds
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        # threads that spin while they wait would take the core that they wait for
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mmauto.engine.child"],
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            env=environment,
            text=True,
        )
        assert self.process.stdin is not None
        # connect() tells of a child that is gone already
        with suppress(BrokenPipeError), self.process.stdin as line:
            line.write(json.dumps([self.listener.address, key.hex()]) + "\n")
        self.connection: Connection | None = None
        self.oom_kills = oom_kills()

    def connect(self, setup: Setup) -> None:
        """Wait for the child and hand it the setup.

        Raises:
            MmautoError: the child cannot start at all, so no trial ever could.
            LostExecutorError: it was killed before it had the setup.
        """
        # accept() has no timeout: ask the listening socket whether the child has come
        from multiprocessing.connection import wait

        waiting: Any = getattr(self.listener, "_listener", None)
        socket = getattr(waiting, "_socket", None)
        end = time.monotonic() + START
        while socket is not None and not wait([socket], timeout=0.5):
            if time.monotonic() > end:
                raise MmautoError(
                    f"the executor's process must start within {START:g} seconds, it did not; its "
                    f"last words: {self.tail() or 'none'}"
                )
            if self.process.poll() is not None:
                raise self._not_started()
        try:
            self.connection = self.listener.accept()
            self.connection.send(setup)
        except (OSError, EOFError, AuthenticationError):
            raise self._not_started() from None

    def send(self, message: Any) -> None:
        """See `Child.send`."""
        assert self.connection is not None
        try:
            self.connection.send(message)
        except OSError:
            raise self._lost() from None

    def receive(self, silence: float) -> tuple[str, Any]:
        """The next message.

        Raises:
            LostExecutorError: the child died, or said nothing for ``silence`` seconds.
        """
        assert self.connection is not None
        try:
            if not self.connection.poll(silence):
                raise LostExecutorError(
                    "timeout",
                    f"a trial must report at least every {silence:g} seconds, this one did not; "
                    "its process was ended (where an epoch takes longer, raise --trial-timeout)",
                    self.tail(), peak_of(self.process.pid),
                )  # fmt: skip
            message: tuple[str, Any] = self.connection.recv()
            return message
        except (EOFError, OSError):
            raise self._lost() from None

    def _not_started(self) -> MmautoError | LostExecutorError:
        """A child that ended by itself would do so again, one that was killed may not."""
        lost = self._lost("while it started")
        if self.process.returncode < 0:
            return lost
        return MmautoError(
            "the executor's process must start, it ended with exit code "
            f"{self.process.returncode}; its last words: {lost.log or 'none'}"
        )

    def _lost(self, when: str = "while this trial ran") -> LostExecutorError:
        timer = threading.Timer(GRACE, self.process.kill)  # hung up, but alive
        timer.start()
        peak = wait(self.process)
        timer.cancel()
        code = self.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return LostExecutorError(
            "killed",
            f"the executor's process ended with {how} {when}"
            + (f" ({self._why()})" if code == -9 else ""),
            self.tail(), peak,
        )  # fmt: skip

    def _why(self) -> str:
        if oom_kills() > self.oom_kills:
            return "memory ran out and the system ended it; fewer --workers need less"
        return "out of memory, or killed by hand"

    def tail(self) -> str:
        """The last lines that the child printed."""
        self.log.seek(0)
        return "\n".join(self.log.read().splitlines()[-LOG_TAIL:])

    def kill(self) -> None:
        """See `Child.kill`."""
        self.process.kill()
        self.process.wait()
        if self.connection is not None:
            self.connection.close()
        self.listener.close()
        self.log.close()
