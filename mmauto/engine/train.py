"""The training loop: the trials of a pack side by side, epoch by epoch.

A pack is one trial, or several of the same shapes that read the same batches. One epoch at a time,
so that packs of other shapes can train beside it and hopeless trials can be ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmauto.engine.batches import Data, batches
from mmauto.engine.checkpoint import Checkpoint
from mmauto.engine.held_out import hold_out, side_losses
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.memory import Room, state_bytes
from mmauto.engine.metrics import METRICS, score
from mmauto.engine.model import Arrays, MultimodalModel
from mmauto.engine.objective import NotFiniteError, augmented, first_odd, optional
from mmauto.engine.optimise import Optimiser, Schedule
from mmauto.engine.packed.choose import choose
from mmauto.engine.packed.form import Alone, Form, trained
from mmauto.engine.packed.parts import InParts
from mmauto.engine.predict import predict_all
from mmauto.engine.random_state import RandomState, random_state, set_random_state, untouched
from mmauto.errors import DataError
from mmauto.values import Batch


@dataclass
class Slot:
    """One trial in a pack: its model and what has become of it so far.

    Attributes:
        best: the model's state at its best epoch; see `Slot.rewind`.
        kept: value (signed) and state of the best epochs, where a soup is wanted.
        ahead: value and loss of epochs that were trained before a kill and are still to be told.
        error: what ended it.
        seconds: its share of the pack's time, of which ``evaluating`` went to validation.
    """

    job: TrialJob
    model: MultimodalModel
    value: float = math.nan
    best_epoch: int = -1
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    kept: list[tuple[float, dict[str, Tensor]]] = field(default_factory=list)
    ahead: list[tuple[float, float]] = field(default_factory=list)
    error: Exception | None = None
    seconds: float = 0.0
    evaluating: float = 0.0

    @property
    def ended(self) -> bool:
        """It failed, reached its last epoch, or has not become better for long."""
        epoch = len(self.curve) - 1
        return (
            self.error is not None
            or epoch + 1 >= self.job.epochs
            or epoch - self.best_epoch >= self.job.patience
        )

    def tell(self, value: float, sign: float) -> bool:
        """Take in an epoch's value; whether it is the best one so far.

        Args:
            sign: 1 where more of the metric is better, else -1.
        """
        self.curve.append(value)
        better = math.isnan(self.value) or sign * value > sign * self.value
        if better:
            self.value, self.best_epoch = value, len(self.curve) - 1
        return better

    def keep(self, value: float) -> None:
        """Remember the state of this epoch if it is among the best ones."""
        state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.kept = sorted([*self.kept, (value, state)], key=lambda pair: -pair[0])
        del self.kept[self.job.soup :]

    def rewind(self) -> MultimodalModel:
        """The model at its best epoch."""
        self.model.load_state_dict(self.best)
        return self.model


class Pack:
    """Models of the same shapes in training on the same batches.

    Args:
        jobs: with equal seeds, epochs and batch sizes.
        memory: where measured forms are remembered; see `mmauto.engine.packed.choose`.
        rates: a factor of the learning rate for each trained parameter; 1 unless given.
        room: what of it fits into the memory; all of it unless given.

    Raises:
        TooLargeError: it would not fit.
    """

    def __init__(
        self,
        jobs: Sequence[TrialJob],
        models: Sequence[MultimodalModel],
        data: Data,
        loss: TaskLoss,
        setup: Setup,
        memory: Path,
        rates: Sequence[float] = (),
        room: Room | None = None,
    ):
        self.slots = [Slot(job, model) for job, model in zip(jobs, models, strict=True)]
        self.data, self.loss, self.setup = data, loss, setup
        self.device = torch.device(setup.device)
        job, first = jobs[0], models[0]
        rows = torch.from_numpy(setup.splits.train).to(self.device)
        if not first.unlabelled:  # rows without any label would only dilute the batches
            rows = rows[torch.stack([data.observed[name][rows] for name in setup.specs]).any(0)]
        listens = any(optional(r, "epoch") for r in first.regularisers)
        self.rows, self.held = hold_out(rows, job.seed) if listens else (rows, rows[:0])
        params = job.candidate.params
        self.size = min(int(params["train/batch_size"]), len(self.rows))
        self.steps = math.ceil(len(self.rows) / self.size) * job.epochs
        self.schedule = Schedule.of(params, self.steps)
        self.shuffle = torch.Generator().manual_seed(job.seed + 1)
        self.augment = torch.Generator(device=self.device).manual_seed(job.seed + 2)
        self.sign = 1.0 if METRICS[setup.metric].maximise else -1.0
        self.step = 0
        self.form = self._form(memory, room)
        own = [job.candidate.params for job in jobs]
        self.optimiser = Optimiser(own, self._trained(), rates)
        if room is not None and self.device.type == "cuda":
            self._probe(room)
        # a regulariser that listens has a memory of its own
        kept = job.checkpoints and not listens
        self.checkpoint = Checkpoint(Path(job.checkpoints)) if kept else None
        self.random: RandomState | None = None
        if self.checkpoint is not None:
            self.checkpoint.restore(self)

    def _form(self, memory: Path, room: Room | None) -> Form:
        models = [slot.model for slot in self.slots]
        if len(models) > 1:
            return choose(models, self.loss, *self._sample(), memory)
        if room is not None and room.part < self.size:
            return InParts(models[0], self.loss, room.part)
        return Alone(models, self.loss)

    def _sample(self) -> tuple[Arrays, Batch]:
        index = self.rows[: self.size]
        arrays, present = self.data.gather(index)
        return arrays, self.data.batch(index, present, 0.0)

    def _probe(self, room: Room) -> None:
        copies = 1 + (self.slots[0].job.soup if self.slots[0].job.soup > 1 else 0)
        later = copies * sum(state_bytes(slot.model) for slot in self.slots)
        self.form.mode(True)
        with untouched([slot.model for slot in self.slots]):
            room.probe(lambda: self.form.gradients(*self._sample()), later, self.device)

    def epoch(self) -> None:
        """Train and validate once; a slot whose numbers are not finite gets an ``error``."""
        if self.slots[0].ahead:
            self._tell_again()
            return
        start = time.perf_counter()
        self.form.mode(True)
        total = torch.zeros(len(self.slots), device=self.device)
        for index in batches(self.rows, self.size, self.shuffle):
            arrays, present = self.data.gather(index)
            batch = self.data.batch(index, present, self.step / self.steps)
            found = self.form.gradients(augmented(self.slots[0].model, arrays, self.augment), batch)
            factor = self.schedule.factor(self.step)
            self.optimiser.step(found.slots, found.norms, factor)
            total += found.losses * len(index)
            self.step += 1
        for slot, mean in zip(self.slots, (total / len(self.rows)).tolist(), strict=True):
            slot.losses.append(mean)
            if not math.isfinite(mean):
                state = random_state()  # its neighbours' draws go on as if nothing had happened
                odd = first_odd(slot.model, arrays, batch, self.loss, slot.job.candidate)
                set_random_state(state)
                slot.error = NotFiniteError(
                    f"the training loss of epoch {len(slot.losses)} is not a finite number", odd
                )
        self._listen()
        trained_at = time.perf_counter()
        self._validate()
        end = time.perf_counter()
        for slot in self.slots:
            slot.seconds += (end - start) / len(self.slots)
            slot.evaluating += (end - trained_at) / len(self.slots)
        if self.checkpoint is not None and not any(slot.error for slot in self.slots):
            self.checkpoint.keep(self)

    def _tell_again(self) -> None:
        """An epoch that was trained before the search was killed."""
        for slot in self.slots:
            value, loss = slot.ahead.pop(0)
            slot.losses.append(loss)
            slot.tell(value, self.sign)
        if not self.slots[0].ahead and self.random is not None:
            set_random_state(self.random)

    def _listen(self) -> None:
        for slot in self.slots:
            for regulariser in slot.model.regularisers:
                if listen := optional(regulariser, "epoch"):
                    sides = (self.rows, self.held)
                    listen(*(side_losses(slot.model, self.data, self.loss, s) for s in sides))

    def _validate(self) -> None:
        rows, primary = self.setup.splits.valid, self.setup.primary
        predicted = predict_all(self.form, self.data, self.loss, rows)
        truth, spec = self.setup.targets[primary][rows], self.setup.specs[primary]
        for slot, own in zip(self.slots, predicted, strict=True):
            if slot.error is not None:
                continue
            if not np.isfinite(own[primary]).all():
                slot.error = NotFiniteError("a validation prediction is not a finite number")
                continue
            value = score(self.setup.metric, spec, truth, own[primary])
            try:
                check_defined(self.setup, value)
            except DataError as error:
                slot.error = error
                continue
            if slot.tell(value, self.sign):
                slot.best = {n: t.clone() for n, t in slot.model.state_dict().items()}
            if slot.job.soup > 1:
                slot.keep(self.sign * value)

    def drop(self, gone: Sequence[Slot]) -> None:
        """Take trials out: those that stay move together."""
        places = [place for place, slot in enumerate(self.slots) if slot not in gone]
        if len(places) == len(self.slots):
            return
        self.slots = [self.slots[place] for place in places]
        if self.slots:
            models = [slot.model for slot in self.slots]
            self.form = (Alone if len(models) == 1 else type(self.form))(models, self.loss)
            self.optimiser.keep(places, self._trained())
        else:
            self.close()

    def close(self) -> None:
        """Nothing of it is needed any more."""
        if self.checkpoint is not None:
            self.checkpoint.forget()

    def _trained(self) -> list[list[nn.Parameter]]:
        return [trained(slot.model) for slot in self.slots]


def check_defined(setup: Setup, value: float) -> None:
    """Refuse a metric that says nothing.

    Raises:
        DataError: it is not defined on the validation rows.
    """
    if math.isnan(value):
        raise DataError(
            f"the metric must be defined on the validation rows, {setup.metric} of target "
            f"{setup.primary!r} is not (one class only, or a constant); choose another --metric, "
            "or another split"
        )
