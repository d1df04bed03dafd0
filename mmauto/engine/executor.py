"""Runs generations of jobs in this process: packs side by side, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import torch

from mmauto.engine.compat import mend_torchvision
from mmauto.engine.costs import Latency, reset_peak
from mmauto.engine.explain import Take, explain
from mmauto.engine.features import Features, Inputs
from mmauto.engine.finetune import FineTuneRun
from mmauto.engine.jobs import ExplainJob, Outcome, ProbeJob, Report, Runner, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.memory import out_of_memory
from mmauto.engine.probe import probe
from mmauto.engine.random_state import free_memory
from mmauto.engine.runs import ControlRun, FusionRun, Run
from mmauto.engine.train_space import FINETUNE
from mmauto.registry import Registry, load_registry
from mmauto.views import Predictions

Jobs: TypeAlias = Sequence[TrialJob]


class Executor(Runner):
    """The engine behind the `Runner` door.

    Args:
        setup: the data and the device.
        registry: the plugins; loaded here when not given.
        say: receives short sentences on long steps (encoding).
        done: receives every outcome as soon as it is there, before the pack is complete.
        alive: called whenever a pack has trained an epoch, so that a slow search is no silent one.
    """

    def __init__(
        self,
        setup: Setup,
        registry: Registry | None = None,
        say: Callable[[str], None] = lambda text: None,
        done: Callable[[Outcome], None] = lambda outcome: None,
        alive: Callable[[], None] = lambda: None,
    ):
        mend_torchvision()
        torch.set_num_threads(setup.threads)
        self.setup = setup
        self.registry = registry or load_registry()
        self.features = Features(setup, self.registry, say)
        self.loss = TaskLoss(setup)
        self.latency = Latency()
        self.done, self.alive = done, alive

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        """Train the jobs in lockstep; a job that fails leaves the others alone."""
        outcomes: dict[int, Outcome] = {}

        def end(outcome: Outcome) -> None:
            outcomes[outcome.id] = outcome
            self.done(outcome)

        runs: list[Run] = [self._run(members) for members in packs(jobs)]
        epoch = 0
        reset_peak(self.features.device)
        while runs:
            values: dict[int, float] = {}
            broken = self._advance(runs, values, end)
            # by now the packs and what their errors held in memory are gone
            runs += self._again(broken, epoch, values, end)
            # who compares the others must know of the failures first
            runs = [run for run in runs if announced(run, run.fallen(), end)]
            keep = dict(report(epoch, values)) if values else {}
            runs = [run for run in runs if announced(run, run.settle(keep), end)]
            epoch += 1
        return [outcomes[job.id] for job in jobs]

    def probe(self, job: ProbeJob, take: Callable[[str, str, Predictions], None]) -> None:
        """Ask kept models: ``take(arm, question, predictions)`` for each; see `ProbeJob`."""
        columns = {k: c.take(job.rows) for k, c in self.setup.dataset.columns.items()}
        folders = {arm: Path(folder) for arm, folder in job.folders.items()}
        torch.set_num_threads(self.setup.encoding_threads)
        try:
            found = probe(
                folders, columns, job.spoilt, self.registry, self.setup.device, job.seed,
                self.features.say,
            )  # fmt: skip
            for arm, question, given in found:
                take(arm, question.name if question else "", given)
        finally:
            torch.set_num_threads(self.setup.threads)

    def explain(self, job: ExplainJob, take: Take) -> None:
        """Ask a kept model what it looks at; see `mmauto.engine.explain`."""
        torch.set_num_threads(self.setup.encoding_threads)
        try:
            explain(job, self.setup, self.registry, take)
        finally:
            torch.set_num_threads(self.setup.threads)

    def close(self) -> None:
        """Forget the features; this process itself holds nothing else."""
        self.features = Features(self.setup, self.registry, self.features.say)

    def _run(self, jobs: Sequence[TrialJob]) -> Run:
        chosen = jobs[0].candidate
        if chosen.kind == "control":
            return ControlRun(self, jobs)
        return (FineTuneRun if FINETUNE in chosen.params else FusionRun)(self, jobs)

    def _advance(
        self, runs: list[Run], values: dict[int, float], end: Callable[[Outcome], None]
    ) -> list[Jobs]:
        """An epoch of every run; those that break leave ``runs``: what is to be run again.

        Args:
            values: receives job id -> validation metric.
        """
        broken: list[Jobs] = []
        for run in list(runs):
            try:
                values |= run.advance()
            except Exception as error:
                runs.remove(run)
                broken += smaller(run, error, end)
            self.alive()
        return broken

    def _again(
        self,
        broken: list[Jobs],
        epoch: int,
        values: dict[int, float],
        end: Callable[[Outcome], None],
    ) -> list[Run]:
        """The jobs of broken packs in smaller ones, as far as the others."""
        found: list[Run] = []
        todo = list(broken)
        while todo:
            free_memory()
            todo[:1] = self._caught_up(todo[0], epoch, values, end, found)
        return found

    def _caught_up(
        self,
        jobs: Jobs,
        epoch: int,
        values: dict[int, float],
        end: Callable[[Outcome], None],
        found: list[Run],
    ) -> list[Jobs]:
        """Adds a run that is as far as the others to ``found``; or what is to be run instead."""
        run = self._run(jobs)
        try:
            for done in range(epoch + 1):
                self.features.say(f"training again: epoch {done + 1} of {epoch + 1}")
                reached = run.advance()
                outcomes = run.settle(dict.fromkeys(reached, True)) if done < epoch else []
                if not announced(run, outcomes, end):
                    return []
        except Exception as error:
            return smaller(run, error, end)
        values |= reached
        found.append(run)
        return []

    def inputs(self, job: TrialJob) -> dict[str, Inputs]:
        """What the candidate's encoders read or give, by modality."""
        chosen = job.candidate
        return self.features.together(
            {key: (chosen.encoder(key), chosen.encoder_params(key)) for key in chosen.modalities}
        )


def announced(run: Run, outcomes: Sequence[Outcome], end: Callable[[Outcome], None]) -> bool:
    """Tell of jobs that have ended; whether others of the run go on."""
    for outcome in outcomes:
        end(outcome)
    return bool(run.jobs)


def smaller(run: Run, error: BaseException, end: Callable[[Outcome], None]) -> list[Jobs]:
    """How the jobs of a run that broke are run again: halves where memory was short, else alone.

    Alone, the job at fault is known, and its neighbours train on; it fails where it was alone.
    """
    jobs = list(run.jobs)
    if out_of_memory(error) and run.shrink():
        half = len(jobs) // 2
        return [part for part in (jobs[:half], jobs[half:]) if part]
    if len(jobs) > 1:
        return [[job] for job in jobs]
    end(run.failed(jobs[0], error))
    return []


def packs(jobs: Sequence[TrialJob]) -> list[list[TrialJob]]:
    """Jobs that can train as one, in order; a job without a pack's name is on its own."""
    found: dict[tuple[object, ...], list[TrialJob]] = {}
    for job in jobs:
        key = (job.pack, job.seed, job.epochs, job.patience) if job.pack else (job.id,)
        found.setdefault(key, []).append(job)
    return list(found.values())
