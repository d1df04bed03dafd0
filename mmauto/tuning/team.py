"""Several executors that train one generation together, as if they were one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from mmauto.engine.jobs import Outcome, Report, Runner, TrialJob

LEAST_PIECE = 4
"""Trials that stay together: most of what a pack saves, it saves with so many."""


class Team(Runner):
    """Shares out the packs of a generation; its trials are still compared epoch by epoch.

    A trial's result does not depend on who trains it, nor on what trains beside it.
    """

    def __init__(self, runners: Sequence[Runner]):
        self.runners = runners

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        """See `Runner.run_pack`."""
        parts = shared_out(jobs, len(self.runners))
        if len(parts) < 2:
            return self.runners[0].run_pack(jobs, report)
        meeting = Meeting(len(parts), report)

        def one(place: int) -> Sequence[Outcome]:
            try:
                return self.runners[place].run_pack(
                    parts[place], lambda epoch, values: meeting.report(place, epoch, values)
                )
            finally:
                meeting.leave(place)

        with ThreadPoolExecutor(len(parts), thread_name_prefix="mmauto-team") as pool:
            done = [outcome for part in pool.map(one, range(len(parts))) for outcome in part]
        found = {outcome.id: outcome for outcome in done}
        return [found[job.id] for job in jobs]

    def close(self) -> None:
        """End all of them for good."""
        for runner in self.runners:
            runner.close()


def shared_out(jobs: Sequence[TrialJob], count: int) -> list[list[TrialJob]]:
    """At most ``count`` parts of about equal size.

    Shapes differ in cost by far, so a large pack goes to several executors, in pieces of
    `LEAST_PIECE` trials at least: a smaller pack stays whole.
    """
    packs: dict[object, list[TrialJob]] = {}
    for job in jobs:
        packs.setdefault(job.pack or job.id, []).append(job)
    parts: list[list[TrialJob]] = [[] for _ in range(count)]
    for pack in sorted(packs.values(), key=len, reverse=True):
        pieces = max(1, min(count, len(pack) // LEAST_PIECE))
        for place in range(pieces):
            min(parts, key=len).extend(pack[place::pieces])
    return [part for part in parts if part]


class Meeting:
    """Waits until every part has told an epoch, and asks once for all of them."""

    def __init__(self, parts: int, report: Report):
        self.missing, self.ask = set(range(parts)), report
        self.told: dict[int, dict[int, Mapping[int, float]]] = {}
        self.answers: dict[int, Mapping[int, bool]] = {}
        self.news = threading.Condition()

    def report(self, part: int, epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        """The answer for a part's own trials."""
        with self.news:
            self.told.setdefault(epoch, {})[part] = values
            self._settle(epoch)
            self.news.wait_for(lambda: epoch in self.answers)
            # a trial that was begun anew tells an epoch that has been decided on
            return {trial: self.answers[epoch].get(trial, True) for trial in values}

    def leave(self, part: int) -> None:
        """A part has ended: nobody waits for it."""
        with self.news:
            self.missing.discard(part)
            for epoch in sorted(set(self.told) - set(self.answers)):
                self._settle(epoch)

    def _settle(self, epoch: int) -> None:
        told = self.told[epoch]
        if epoch in self.answers or not self.missing <= told.keys():
            return
        self.answers[epoch] = {}  # should asking fail, nobody is left waiting
        try:
            values = {trial: v for part in told.values() for trial, v in part.items()}
            self.answers[epoch] = self.ask(epoch, values)
        finally:
            self.news.notify_all()
