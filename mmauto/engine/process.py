"""An executor in a child process, with a watchdog: what kills a trial does not kill the search.

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
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, Listener
from typing import IO, Any, ClassVar, Protocol

from mmauto.answered import Shown
from mmauto.engine.jobs import ExplainJob, Outcome, ProbeJob, Report, Runner, Setup, TrialJob
from mmauto.engine.system_memory import oom_kills, peak_of, wait
from mmauto.errors import MmautoError
from mmauto.views import Costs, Failure, Predictions

LOG_TAIL = 12

PACK_LIVES = 2
"""So many processes a pack may lose before its jobs run one by one."""

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
        """Wait for the child and hand it the setup."""

    def send(self, message: Any) -> None:
        """Say something to it; raises LostExecutorError where it is gone."""

    def receive(self, silence: float) -> tuple[str, Any]:
        """Its next word; raises LostExecutorError where none comes for so many seconds."""

    def kill(self) -> None:
        """End it."""


class ProcessExecutor(Runner):
    """The `Runner` door to one child process, started again whenever it is lost.

    Args:
        silence: seconds without any word from the child after which it counts as hung. It says
            one after each epoch of each pack, and while it encodes; a trial may take as long as
            its epochs do.
        say: receives short sentences on long steps.
        done: receives every outcome as soon as it is there.
    """

    lives: ClassVar[int] = 2
    """So many processes a job may lose while it is alone in them: one may have been killed by hand,
    or for the memory that others took."""

    def __init__(
        self,
        silence: float = 600.0,
        say: Callable[[str], None] = lambda text: None,
        done: Callable[[Outcome], None] = lambda outcome: None,
    ):
        self.silence, self.say, self.done = silence, say, done
        self.setup: Setup | None = None
        self.closed = False
        # imports torch while the coordinator prepares
        self.child: Child | None = self._start()

    def use(self, setup: Setup) -> None:
        """Give the data; every child gets it once."""
        self.setup = setup
        if self.child is not None:
            self.child.connect(setup)

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        """Run the pack; where the child is lost, run what is left again, in the end one by one.

        Together, so that pruning compares the same trials: most losses are nobody's fault. Alone,
        the job that kills its child is known and fails, and its neighbours finish.
        """
        start = time.monotonic()
        outcomes: dict[int, Outcome] = {}
        lost: LostExecutorError | None = None
        left, alone = list(jobs), len(jobs) == 1
        for _ in range(self.lives if alone else PACK_LIVES):
            if lost is not None:
                self._begin_again(lost, left)
            try:
                self._attempt(left, report, outcomes)
            except LostExecutorError as error:
                if self.closed:  # by another thread: the search is being stopped
                    raise
                lost = error
            left = [job for job in jobs if job.id not in outcomes]
            if not left or (lost is not None and lost.kind == "timeout"):
                break
        for job in left:
            assert lost is not None, "an executor tells what became of every job"
            if alone:
                outcomes[job.id] = self._failed(job, lost, time.monotonic() - start)
            else:
                outcomes[job.id] = self.run_pack([job], report)[0]
        return [outcomes[job.id] for job in jobs]

    def _begin_again(self, lost: LostExecutorError, left: Sequence[TrialJob]) -> None:
        """What a child ran that is lost begins again."""

    def _failed(self, job: TrialJob, lost: LostExecutorError, seconds: float) -> Outcome:
        kind: Any = lost.kind
        chosen = job.candidate
        text = f"{chosen.kind} {chosen.component!r}: {lost}"
        outcome = Outcome(
            job.id, "failed", seconds=seconds, costs=Costs(seconds, peak_memory=lost.peak),
            failure=Failure(kind, text, lost.log),
        )  # fmt: skip
        self.done(outcome)
        return outcome

    def probe(self, job: ProbeJob, take: Callable[[str, str, Predictions], None]) -> None:
        """Ask kept models; see `mmauto.engine.executor.Executor.probe`.

        Raises:
            LostExecutorError: the child died or fell silent.
        """
        self._talk(job, {"answer": lambda answer: take(*answer)})

    def explain(self, job: ExplainJob, take: Callable[[int, str, Shown | str], None]) -> None:
        """Ask a kept model what it looks at; see `mmauto.engine.executor.Executor.explain`.

        Raises:
            LostExecutorError: the child died or fell silent.
        """
        self._talk(job, {"seen": lambda seen: take(*seen)})

    def _attempt(
        self, jobs: Sequence[TrialJob], report: Report, outcomes: dict[int, Outcome]
    ) -> None:
        def end(outcome: Outcome) -> None:
            outcomes[outcome.id] = outcome
            self.done(outcome)

        def tell(content: tuple[int, Mapping[int, float]]) -> None:
            assert self.child is not None
            self.child.send(report(*content))

        self._talk(list(jobs), {"outcome": end, "epoch": tell})

    def _talk(self, work: Any, hear: Mapping[str, Callable[[Any], None]]) -> None:
        """Hand out work and hear what the child says until it has ended."""
        assert self.setup is not None, "use() comes first"
        try:
            if self.child is None:
                self.child = self._start()
                self.child.connect(self.setup)
            self.child.send(work)
            while True:
                word, content = self.child.receive(self.silence)
                if word == "end":
                    return
                if word == "say":
                    self.say(content)
                elif word != "alive":
                    hear[word](content)
        except BaseException:  # lost, or Ctrl-C in the coordinator: half-done work is void
            self._end()
            raise

    def close(self) -> None:
        """End the child, at once and for good."""
        self.closed = True
        self._end()

    def _start(self) -> Child:
        """A fresh child, wherever this executor's children live."""
        return _Child()

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.kill()


class _Child:
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
        self.process.stdin.write(json.dumps([self.listener.address, key.hex()]) + "\n")
        self.process.stdin.flush()
        self.connection: Connection | None = None
        self.oom_kills = oom_kills()

    def connect(self, setup: Setup) -> None:
        """Wait for the child and hand it the setup.

        Raises:
            MmautoError: the child cannot start at all, so no trial ever could.
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
                raise MmautoError(
                    "the executor's process must start, it ended with exit code "
                    f"{self.process.returncode}; its last words: {self.tail() or 'none'}"
                )
        self.connection = self.listener.accept()
        self.send(setup)

    def send(self, message: Any) -> None:
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

    def _lost(self) -> LostExecutorError:
        timer = threading.Timer(GRACE, self.process.kill)  # hung up, but alive
        timer.start()
        peak = wait(self.process)
        timer.cancel()
        code = self.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return LostExecutorError(
            "killed",
            f"the executor's process ended with {how} while this trial ran"
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
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.connection is not None:
            self.connection.close()
        self.listener.close()
        self.log.close()
