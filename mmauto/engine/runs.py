"""What trains in an executor: jobs in progress, epoch by epoch."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mmauto.engine.batches import Data
from mmauto.engine.controls import fit_control
from mmauto.engine.costs import peak_memory
from mmauto.engine.entries import FORMS
from mmauto.engine.failures import classify
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import NOTE, Outcome, TrialJob
from mmauto.engine.memory import Room, room_for
from mmauto.engine.metrics import METRICS, score
from mmauto.engine.model import MultimodalModel, count, seeded_build
from mmauto.engine.once import using
from mmauto.engine.predict import predict
from mmauto.engine.random_state import random_state, seeded_state, set_random_state
from mmauto.engine.remember import Memory
from mmauto.engine.save import save_control, save_model
from mmauto.engine.soup import greedy_soup
from mmauto.engine.train import Pack, Slot, check_defined
from mmauto.views import Costs

if TYPE_CHECKING:
    from mmauto.engine.executor import Executor

PACKS = "packs.json"
"""Which form trains which pack, beside the forms that encoders run in."""

ROOMS = "rooms.json"
"""How many rows fit into the memory, where more did not."""


class Run(ABC):
    """Jobs in progress with a random stream of their own.

    Dropout draws from torch's global generator; a state of their own makes results independent of
    the packs beside them.
    """

    def __init__(self, executor: Executor, jobs: Sequence[TrialJob]):
        self.executor, self.jobs = executor, list(jobs)
        self.state = seeded_state(jobs[0].seed)
        self.seconds = 0.0

    def advance(self) -> Mapping[int, float]:
        """One epoch: job id -> validation metric of those that have one."""
        start, before = time.perf_counter(), random_state()
        set_random_state(self.state)
        try:
            return self.step()
        finally:
            self.state = random_state()
            set_random_state(before)
            self.seconds += (time.perf_counter() - start) / len(self.jobs)

    def failed(self, job: TrialJob, error: BaseException) -> Outcome:
        """The outcome of a job that ``error`` has ended."""
        curve, losses = self.history(job)
        return Outcome(
            job.id, "failed", curve=curve, losses=losses, seconds=self.seconds,
            costs=Costs(self.seconds, peak_memory=peak_memory(self.executor.features.device)),
            failure=classify(error, self.executor.registry, job.candidate),
        )  # fmt: skip

    def shrink(self) -> bool:
        """It was out of memory: whether its jobs can be run again with less."""
        return len(self.jobs) > 1

    def history(self, job: TrialJob) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """A job's validation metrics and losses so far."""
        return (), ()

    def fallen(self) -> list[Outcome]:
        """Outcomes of the jobs that the last epoch has failed; they leave the others."""
        return []

    @abstractmethod
    def step(self) -> Mapping[int, float]:
        """See `advance`."""

    @abstractmethod
    def settle(self, keep: Mapping[int, bool]) -> list[Outcome]:
        """Outcomes of the jobs that end now, by themselves or because they are not kept."""


class ControlRun(Run):
    """One control: fitted in its first and only epoch."""

    def step(self) -> Mapping[int, float]:
        """Fit, predict, save."""
        (job,), own = self.jobs, self.executor
        control = own.registry.control(job.candidate.component)
        inputs = own.inputs(job)
        fitted = fit_control(own.setup, inputs, control, job)
        check_defined(own.setup, fitted.value)
        if job.bundle is not None:
            save_control(Path(job.bundle), own.setup, own.registry, job, fitted, inputs)
        self.outcome = Outcome(
            job.id, "complete", fitted.value, 0, (fitted.value,),
            valid=fitted.valid, test=fitted.test,
            costs=Costs(fitted.seconds, peak_memory=peak_memory(own.features.device)),
        )  # fmt: skip
        return {job.id: fitted.value}

    def settle(self, keep: Mapping[int, bool]) -> list[Outcome]:
        """It is done."""
        self.jobs = []
        return [replace(self.outcome, seconds=self.seconds)]


class FusionRun(Run):
    """A pack of fusion candidates."""

    def __init__(self, executor: Executor, jobs: Sequence[TrialJob]):
        super().__init__(executor, jobs)
        self.pack: Pack | None = None
        self.room: Room | None = None
        self.encoding = 0.0
        """Seconds a trial until features are there, waiting for another worker included."""
        self.preparing = 0.0
        """Seconds before training, a trial: encoding, building, choosing a form."""

    def step(self) -> Mapping[int, float]:
        """Build, where it is the first epoch, and train one."""
        if self.pack is None:
            start = time.perf_counter()
            self.pack = self._start()
            self.preparing += (time.perf_counter() - start) / len(self.jobs)
        with self._cores(self.pack.slots[0].model):
            self.pack.epoch()
        return {slot.job.id: slot.curve[-1] for slot in self.pack.slots if slot.error is None}

    def _cores(self, model: MultimodalModel) -> AbstractContextManager[None]:
        """As many threads as pay while it trains and predicts."""
        setup = self.executor.setup
        return using(setup.training_threads if model.heavy else setup.threads)

    def _start(self) -> Pack:
        start = time.perf_counter()
        shared = self.executor.inputs(self.jobs[0])
        self.encoding += (time.perf_counter() - start) / len(self.jobs)
        # what differs between them is read by modules alone, so the arrays are the same
        self._read(
            {
                job.id: {
                    key: replace(part, params=job.candidate.encoder_params(key))
                    for key, part in shared.items()
                }
                for job in self.jobs
            }
        )
        first = self._build(self.jobs[0])
        self._make_room(first, self.jobs)
        return self._pack(self.jobs, [first, *(self._build(job) for job in self.jobs[1:])])

    def _read(self, inputs: Mapping[int, Mapping[str, Inputs]]) -> None:
        """What the models read from now on, by job."""
        own = self.executor
        self.inputs = inputs
        self.data = Data(own.setup, inputs[self.jobs[0].id], own.loss)

    def _build(self, job: TrialJob) -> MultimodalModel:
        own = self.executor
        return seeded_build(
            job.candidate, self.inputs[job.id], own.setup.specs, own.registry, job.seed,
            len(own.setup.domains),
        ).to(own.features.device)  # fmt: skip

    def _pack(
        self,
        jobs: Sequence[TrialJob],
        models: Sequence[MultimodalModel],
        rates: Sequence[float] = (),
    ) -> Pack:
        own = self.executor
        memory = Path(own.setup.cache) / FORMS / PACKS
        with self._cores(models[0]):  # forms are measured as they will train
            return Pack(jobs, models, self.data, own.loss, own.setup, memory, rates, self.room)

    def _make_room(self, model: MultimodalModel, jobs: Sequence[TrialJob]) -> None:
        """Look what is known of such models; a pack that is too large is refused."""
        own, job = self.executor, jobs[0]
        known = Memory(Path(own.setup.cache) / FORMS / ROOMS)
        size = min(int(job.candidate.params["train/batch_size"]), len(own.setup.splits.train))
        room = room_for(known, model, self.data, len(jobs), size, own.features.device)
        self.room = room
        room.check()
        if room.part < size:
            norms = "; its norms over batches see one part at a time" if room.norms else ""
            own.features.say(
                f"{NOTE}{job.candidate.component}: batches of {size} rows do not fit into the "
                f"memory and are trained in parts of {room.part}, a step a batch as before{norms}"
            )

    def shrink(self) -> bool:
        """See `Run.shrink`."""
        return super().shrink() if self.room is None else self.room.halve()

    def failed(self, job: TrialJob, error: BaseException) -> Outcome:
        """See `Run.failed`; where a batch could not be trained in parts, it says why."""
        outcome = super().failed(job, error)
        failure, room = outcome.failure, self.room
        if failure is None or room is None or failure.kind != "oom" or not room.whole:
            return outcome
        text = f"{failure.message}; the batch cannot be trained in parts, as {room.whole}"
        return replace(outcome, failure=replace(failure, message=text))

    def fallen(self) -> list[Outcome]:
        """See `Run.fallen`."""
        return self._leave(lambda slot: slot.error is not None)

    def settle(self, keep: Mapping[int, bool]) -> list[Outcome]:
        """See `Run.settle`."""
        # epochs that are told again were kept when they were trained
        return self._leave(lambda slot: slot.ended or not (keep[slot.job.id] or slot.ahead))

    def _leave(self, goes: Callable[[Slot], bool]) -> list[Outcome]:
        """Outcomes of those that end; those that stay move together."""
        assert self.pack is not None
        gone = [slot for slot in self.pack.slots if goes(slot)]
        outcomes = [self._ending(slot, not slot.ended) for slot in gone]
        left = [slot.job for slot in self.pack.slots if slot not in gone]
        try:
            self.pack.drop(gone)
            self.jobs = left
        except Exception as error:  # no memory to move those that stay
            outcomes += [self.failed(job, error) for job in left]
            self.jobs = []
        return outcomes

    def history(self, job: TrialJob) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """See `Run.history`."""
        slots = self.pack.slots if self.pack is not None else []
        found = next((slot for slot in slots if slot.job.id == job.id), None)
        return ((), ()) if found is None else (tuple(found.curve), tuple(found.losses))

    def _ending(self, slot: Slot, pruned: bool) -> Outcome:
        """What becomes of a trial; a last prediction or a saving that fails is its own failure."""
        error = slot.error
        if error is None:
            try:
                return self._outcome(slot, pruned)
            except Exception as late:
                error = late
        curve, losses = tuple(slot.curve), tuple(slot.losses)
        return replace(self.failed(slot.job, error), curve=curve, losses=losses)

    def _soup(self, slot: Slot) -> float:
        """Leave the best average of checkpoints in the model; its validation metric."""
        own, rows = self.executor, self.executor.setup.splits.valid
        primary, sign = own.setup.primary, 1.0 if METRICS[own.setup.metric].maximise else -1.0
        truth, spec = own.setup.targets[primary][rows], own.setup.specs[primary]

        def value_of(state: Mapping[str, Tensor]) -> float:
            slot.model.load_state_dict(state)
            given = predict(slot.model, self.data, own.loss, rows)[primary]
            return sign * score(own.setup.metric, spec, truth, given)

        value, state = greedy_soup(slot.kept, value_of)
        slot.model.load_state_dict(state)
        return sign * value

    def _outcome(self, slot: Slot, pruned: bool) -> Outcome:
        own, job = self.executor, slot.job
        splits, device, start = own.setup.splits, own.features.device, time.perf_counter()
        model, inputs = slot.rewind(), self.inputs[job.id]
        with self._cores(model):
            if job.soup > 1:
                slot.value = self._soup(slot)
            valid = predict(model, self.data, own.loss, splits.valid)
            test = predict(model, self.data, own.loss, splits.test) if job.score_test else {}
        costs = Costs(
            slot.seconds, count(model), peak_memory=peak_memory(device),
            evaluation_seconds=slot.evaluating, encoding_seconds=self.encoding,
        )  # fmt: skip
        if job.measure:
            one, many, frozen = own.latency.measure(model, inputs, splits.valid)
            costs = replace(costs, frozen_parameters=frozen, latency_1=one, latency_64=many)
        if job.bundle is not None:
            save_model(
                Path(job.bundle), own.setup, own.registry, job, model, inputs, own.loss, valid
            )
        spent = self.preparing + slot.seconds + time.perf_counter() - start
        return Outcome(
            job.id, "pruned" if pruned else "complete", slot.value, slot.best_epoch,
            tuple(slot.curve), tuple(slot.losses), seconds=spent,
            valid=valid, test=test, costs=costs,
        )  # fmt: skip
