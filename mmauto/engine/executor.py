"""Runs generations of jobs in this process: packs side by side, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mmauto.engine.compat import mend_torchvision
from mmauto.engine.costs import Latency
from mmauto.engine.explain import Take, explain
from mmauto.engine.features import Features, Inputs
from mmauto.engine.finetune import FineTuneRun
from mmauto.engine.jobs import ExplainJob, Outcome, ProbeJob, Report, Runner, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.probe import probe
from mmauto.engine.random_state import free_memory
from mmauto.engine.runs import ControlRun, FusionRun, Run
from mmauto.engine.train_space import FINETUNE
from mmauto.registry import Registry, load_registry
from mmauto.views import Predictions


class Executor(Runner):
    """The engine behind the `Runner` door.

    Args:
        setup: the data and the device.
        registry: the plugins; loaded here when not given.
        say: receives short sentences on long steps (encoding).
        done: receives every outcome as soon as it is there, before the pack is complete.
    """

    def __init__(
        self,
        setup: Setup,
        registry: Registry | None = None,
        say: Callable[[str], None] = lambda text: None,
        done: Callable[[Outcome], None] = lambda outcome: None,
    ):
        mend_torchvision()
        torch.set_num_threads(setup.threads)
        self.setup = setup
        self.registry = registry or load_registry()
        self.features = Features(setup, self.registry, say)
        self.loss = TaskLoss(setup)
        self.latency = Latency()
        self.done = done

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        """Train the jobs in lockstep; a job that fails leaves the others alone."""
        outcomes: dict[int, Outcome] = {}

        def end(outcome: Outcome) -> None:
            outcomes[outcome.id] = outcome
            self.done(outcome)

        runs: list[Run] = [self._run(members) for members in packs(jobs)]
        epoch = 0
        while runs:
            values: dict[int, float] = {}
            broken = advance(runs, values, end)
            if broken:
                # alone, the job at fault is known, and its neighbours train on; by now the packs
                # and what their errors held in memory are gone
                free_memory()
                runs += self._apart(broken, epoch, values, end)
            keep = dict(report(epoch, values)) if values else {}
            for run in list(runs):
                for outcome in run.settle(keep):
                    end(outcome)
                if not run.jobs:
                    runs.remove(run)
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

    def _apart(
        self,
        jobs: Sequence[TrialJob],
        epoch: int,
        values: dict[int, float],
        end: Callable[[Outcome], None],
    ) -> list[Run]:
        """The jobs of a broken pack, each on its own and as far as the others."""
        found = []
        for job in jobs:
            run = self._run([job])
            try:
                for done in range(epoch + 1):
                    self.features.say(f"training again alone: epoch {done + 1} of {epoch + 1}")
                    reached = run.advance()
            except Exception as error:
                end(run.failed(job, error))
                continue
            values |= reached
            found.append(run)
        return found

    def inputs(self, job: TrialJob) -> dict[str, Inputs]:
        """What the candidate's encoders read or give, by modality."""
        chosen = job.candidate
        return self.features.together(
            {key: (chosen.encoder(key), chosen.encoder_params(key)) for key in chosen.modalities}
        )


def advance(
    runs: list[Run], values: dict[int, float], end: Callable[[Outcome], None]
) -> list[TrialJob]:
    """An epoch of every run; those that break leave ``runs``, and the jobs of packs are given back.

    Args:
        values: receives job id -> validation metric.
    """
    broken = []
    for run in list(runs):
        try:
            values |= run.advance()
        except Exception as error:
            runs.remove(run)
            if len(run.jobs) == 1:
                end(run.failed(run.jobs[0], error))
            else:
                broken += run.jobs
    return broken


def packs(jobs: Sequence[TrialJob]) -> list[list[TrialJob]]:
    """Jobs that can train as one, in order; a job without a pack's name is on its own."""
    found: dict[tuple[object, ...], list[TrialJob]] = {}
    for job in jobs:
        key = (job.pack, job.seed, job.epochs, job.patience) if job.pack else (job.id,)
        found.setdefault(key, []).append(job)
    return list(found.values())
