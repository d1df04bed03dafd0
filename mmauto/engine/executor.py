"""Runs packs of jobs in this process: several candidates side by side, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mmauto.engine.batches import Data
from mmauto.engine.compat import mend_torchvision
from mmauto.engine.controls import fit_control
from mmauto.engine.costs import Latency, peak_memory
from mmauto.engine.failures import classify
from mmauto.engine.features import Features, Inputs
from mmauto.engine.jobs import Outcome, Report, Runner, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import count, seeded_build
from mmauto.engine.save import save_control, save_model
from mmauto.engine.train import Trained, predict, train
from mmauto.registry import Registry, load_registry
from mmauto.views import Costs

Running = Generator[tuple[float, float], bool, Outcome]


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
        live = [_Live(job, self._run(job), self.registry) for job in jobs]
        outcomes: dict[int, Outcome] = {}
        epoch = 0
        keep = {job.id: True for job in jobs}
        while live:
            values = {}
            for run in list(live):
                outcome = run.advance(keep[run.job.id])
                if outcome is None:
                    values[run.job.id] = run.curve[-1]
                    continue
                live.remove(run)
                outcomes[run.job.id] = outcome
                self.done(outcome)
            if values:
                keep = dict(report(epoch, values))
            epoch += 1
        return [outcomes[job.id] for job in jobs]

    def close(self) -> None:
        """Forget the features; this process itself holds nothing else."""
        self.features = Features(self.setup, self.registry, self.features.say)

    def _run(self, job: TrialJob) -> Running:
        start = self._control if job.candidate.kind == "control" else self._fusion
        return start(job)

    def _control(self, job: TrialJob) -> Running:
        control = self.registry.control(job.candidate.component)
        inputs = self._inputs(job)
        fitted = fit_control(self.setup, inputs, control, job)
        yield fitted.value, 0.0
        if job.bundle is not None:
            save_control(Path(job.bundle), self.setup, self.registry, job, fitted, inputs)
        return Outcome(
            job.id, "complete", fitted.value, 0, (fitted.value,),
            valid=fitted.valid, test=fitted.test,
            costs=Costs(fitted.seconds, peak_memory=peak_memory(self.features.device)),
        )  # fmt: skip

    def _inputs(self, job: TrialJob) -> dict[str, Inputs]:
        chosen = job.candidate
        return {
            key: self.features.inputs(key, chosen.encoder(key), chosen.encoder_params(key))
            for key in chosen.modalities
        }

    def _fusion(self, job: TrialJob) -> Running:
        inputs = self._inputs(job)
        model = seeded_build(
            job.candidate, inputs, self.setup.specs, self.registry, job.seed,
            len(self.setup.domains),
        )  # fmt: skip
        model.to(self.features.device)
        data = Data(self.setup, inputs, self.loss)
        trained: Trained = yield from train(model, data, self.loss, self.setup, job)
        splits = self.setup.splits
        valid = predict(trained.model, data, self.loss, splits.valid)
        test = predict(trained.model, data, self.loss, splits.test) if job.score_test else {}
        costs = Costs(
            trained.seconds, count(trained.model), peak_memory=peak_memory(self.features.device)
        )
        if job.measure:
            one, many, frozen = self.latency.measure(trained.model, inputs, splits.valid)
            costs = replace(costs, frozen_parameters=frozen, latency_1=one, latency_64=many)
        if job.bundle is not None:
            folder = Path(job.bundle)
            save_model(
                folder, self.setup, self.registry, job, trained.model, inputs, self.loss, valid
            )
        return Outcome(
            job.id, "pruned" if trained.pruned else "complete", trained.value, trained.best_epoch,
            tuple(trained.curve), tuple(trained.losses), valid=valid, test=test, costs=costs,
        )  # fmt: skip


class _Live:
    """A job in progress with its own clock and its own random stream.

    Dropout draws from torch's global generator; giving each job its own state makes a result
    independent of the jobs beside it.
    """

    def __init__(self, job: TrialJob, running: Running, registry: Registry):
        self.job, self.running, self.registry = job, running, registry
        self.seconds = 0.0
        self.curve: list[float] = []
        self.losses: list[float] = []
        with torch.random.fork_rng():
            torch.manual_seed(job.seed)
            self.state = _random_state()
        self.started = False

    def advance(self, keep: bool) -> Outcome | None:
        """One epoch; the outcome when the job has ended."""
        start, before = time.perf_counter(), _random_state()
        _set_random_state(self.state)
        try:
            value, loss = self.running.send(keep) if self.started else next(self.running)
            self.started = True
            self.curve.append(value)
            self.losses.append(loss)
            return None
        except StopIteration as stop:
            return self._timed(stop.value, start)
        except Exception as error:
            failure = classify(error, self.registry, self.job.candidate)
            return self._timed(
                Outcome(
                    self.job.id, "failed", curve=tuple(self.curve), losses=tuple(self.losses),
                    failure=failure,
                ),
                start,
            )  # fmt: skip
        finally:
            self.state = _random_state()
            _set_random_state(before)
            self.seconds += time.perf_counter() - start

    def _timed(self, outcome: Outcome, start: float) -> Outcome:
        return replace(outcome, seconds=self.seconds + time.perf_counter() - start)


def _random_state() -> tuple[torch.Tensor, list[torch.Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if _cuda() else []


def _set_random_state(state: tuple[torch.Tensor, list[torch.Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])


def _cuda() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
