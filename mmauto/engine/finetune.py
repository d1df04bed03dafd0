"""A candidate in two stages: its head on frozen tokens, then all of it, encoders included.

Linear probing, then fine-tuning (Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features,
ICLR): from a head that fits, an encoder's weights have little reason to leave what they know. The
first stage is the very training that the search saw; the best epoch of both stages wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmauto.engine.batches import Data
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Outcome, TrialJob
from mmauto.engine.model import MultimodalModel, Tuned
from mmauto.engine.packed.form import trained
from mmauto.engine.runs import FusionRun
from mmauto.engine.train import Pack, Slot
from mmauto.engine.train_space import FINETUNE, FINETUNE_LR
from mmauto.space import Params

if TYPE_CHECKING:
    from mmauto.engine.executor import Executor

ENCODER_RATE = 2e-5
"""Of a candidate without `FINETUNE_LR`: what BERT and its like are fine-tuned with."""

HEAD_SHARE = 0.1
"""The second stage's learning rate of all else, as a share of the first stage's."""

MOST_ROWS = 32
"""A larger batch of the first stage is cut to this: an encoder's activations fill the memory."""


@dataclass(frozen=True)
class Stage:
    """A stage that has ended, with what its model reads."""

    slot: Slot
    data: Data
    inputs: Mapping[int, Mapping[str, Inputs]]


class FineTuneRun(FusionRun):
    """One candidate whose parameters ask for `FINETUNE` epochs; it never shares a pack."""

    def __init__(self, executor: Executor, jobs: Sequence[TrialJob]):
        super().__init__(executor, jobs)
        self.probe: Stage | None = None

    def fallen(self) -> list[Outcome]:
        """See `Run.fallen`."""
        assert self.pack is not None
        return self.settle({}) if self.pack.slots[0].error is not None else []

    def settle(self, keep: Mapping[int, bool]) -> list[Outcome]:
        """See `Run.settle`; where the first stage ends, the second one is due."""
        assert self.pack is not None
        (slot,) = self.pack.slots
        kept = keep.get(slot.job.id, True)
        if kept and not slot.ended:
            return []
        if kept and self.probe is None and slot.error is None and self._tunable():
            self.pack.close()  # the head alone is trained again soon
            self.probe, self.pack = Stage(slot, self.data, self.inputs), None
            return []
        self.jobs = []
        self.pack.close()
        return [self._ending(self._joined(self.probe, slot), not kept and not slot.ended)]

    def _tunable(self) -> list[str]:
        """The modalities whose encoders are frozen and may be trained further."""
        (inputs,) = self.inputs.values()
        return [
            k for k, part in inputs.items() if part.frozen and part.encoder.tunable(part.params)
        ]

    def _start(self) -> Pack:
        """The first stage's pack, or the second one's, from the best epoch of the first."""
        if self.probe is None:
            return super()._start()
        (job,), tunable, features = self.jobs, self._tunable(), self.executor.features
        read = {
            key: features.unfrozen(key, part) if key in tunable else part
            for key, part in self.inputs[job.id].items()
        }
        self._read({job.id: read})
        model = self._build(job)
        best = self.probe.slot.best
        model.load_state_dict({n: best.get(n, value) for n, value in model.state_dict().items()})
        second = second_stage(job)
        self._make_room(model, [second])
        return self._pack([second], [model], rates(model, second))

    def _joined(self, probe: Stage | None, slot: Slot) -> Slot:
        """Both stages as one trial, with the model of the better one; the first wins a tie."""
        if probe is None:
            return slot
        assert self.pack is not None
        first, sign = probe.slot, self.pack.sign
        best = first
        if sign * slot.value > sign * first.value:
            best = replace(slot, best_epoch=len(first.curve) + slot.best_epoch)
        else:
            self.data, self.inputs = probe.data, probe.inputs
        return replace(
            best,
            job=first.job,
            curve=[*first.curve, *slot.curve],
            losses=[*first.losses, *slot.losses],
            seconds=first.seconds + slot.seconds,
            evaluating=first.evaluating + slot.evaluating,
            error=slot.error,
        )


def second_stage(job: TrialJob) -> TrialJob:
    """The job as the second stage's loop reads it: gently, in small batches, with a warm-up."""
    params = job.candidate.params
    own: Params = {
        "train/optimiser": "adamw",
        "train/schedule": "cosine",
        "train/lr": HEAD_SHARE * float(params["train/lr"]),
        "train/batch_size": min(MOST_ROWS, int(params["train/batch_size"])),
    }
    candidate = replace(job.candidate, params={**params, **own})
    return replace(job, candidate=candidate, epochs=int(params[FINETUNE]))


def rates(model: MultimodalModel, job: TrialJob) -> list[float]:
    """Each trained parameter's factor of the learning rate: tuned encoders have their own."""
    params = job.candidate.params
    factor = float(params.get(FINETUNE_LR, ENCODER_RATE)) / float(params["train/lr"])
    tuned = {
        id(weight)
        for front in model.encoders
        if isinstance(front, Tuned)
        for weight in front.parameters()
    }
    return [factor if id(weight) in tuned else 1.0 for weight in trained(model)]
