"""An executor in a child process, with a watchdog: what kills a trial does not kill the search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from mmauto.answered import Shown
from mmauto.engine.child_process import Child, ChildProcess, LostExecutorError
from mmauto.engine.jobs import ExplainJob, Outcome, ProbeJob, Report, Runner, Setup, TrialJob
from mmauto.errors import MmautoError
from mmauto.views import Costs, Failure, Predictions

PACK_LIVES = 2
"""So many processes a pack may lose before its jobs run one by one."""

STARTS = 5
"""So many processes in a row may be lost while they start before the search ends; more than a job's
lives, since that ends every job."""


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
        """Give the data; every child gets it once, one lost before that is started again later."""
        self.setup = setup
        if self.child is not None:
            try:
                self.child.connect(setup)
            except LostExecutorError:
                self._end()

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
        self._heed_close()
        try:
            child = self.child or self._replacement(self.setup)
            child.send(work)
            while True:
                word, content = child.receive(self.silence)
                if word == "end":
                    return
                if word == "say":
                    self.say(content)
                elif word != "alive":
                    hear[word](content)
        except BaseException:  # lost, or Ctrl-C in the coordinator: half-done work is void
            self._end()
            raise

    def _replacement(self, setup: Setup) -> Child:
        """A child with the setup, in place of one that was lost.

        Raises:
            MmautoError: several in a row were lost before they had it.
        """
        for _ in range(STARTS):
            self.child = child = self._start()
            self._heed_close()  # it came too early to find this child
            try:
                child.connect(setup)
                return child
            except LostExecutorError as error:
                if self.closed:
                    raise
                lost = error
                self._end()
        raise MmautoError(
            f"an executor must start, {STARTS} in a row did not: {lost}; its last words: "
            f"{lost.log or 'none'}; free memory or use fewer --workers, then give the same "
            "command again to continue"
        )

    def _heed_close(self) -> None:
        if self.closed:  # by another thread, while this one was asking for candidates
            raise LostExecutorError("killed", "the search is being stopped", "")

    def close(self) -> None:
        """End the child, at once and for good."""
        self.closed = True
        self._end()

    def _start(self) -> Child:
        """A fresh child, wherever this executor's children live."""
        return ChildProcess()

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.kill()
