"""The training loop: a generator that gives every epoch's validation metric and asks to go on.

A generator lets several candidates train side by side, epoch by epoch, which is what pruning inside
a generation needs, while the loop itself reads from top to bottom.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmauto.engine.batches import Data, batches
from mmauto.engine.features import precision
from mmauto.engine.held_out import hold_out, side_losses
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.metrics import METRICS, score
from mmauto.engine.model import MultimodalModel
from mmauto.engine.objective import augmented, first_odd, objective, optional
from mmauto.engine.optimise import make_optimiser, make_schedule

EVALUATION_BATCH = 512
CLIP = 1.0


class NotFiniteError(Exception):
    """The loss or a prediction is NaN or infinite: the trial cannot go on.

    Attributes:
        component: (kind, name) of the first component whose numbers are not finite, where known.
    """

    def __init__(self, text: str, component: tuple[str, str] | None = None):
        super().__init__(text)
        self.component = component


@dataclass
class Trained:
    """What a loop leaves: the model at its best epoch, the history, and seconds spent in it."""

    model: MultimodalModel
    value: float
    best_epoch: int
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    pruned: bool = False
    seconds: float = 0.0


def train(
    model: MultimodalModel, data: Data, loss: TaskLoss, setup: Setup, job: TrialJob
) -> Generator[tuple[float, float], bool, Trained]:
    """Train with early stopping on the validation metric.

    Yields:
        (validation metric, mean training loss) after each epoch; send False to prune.

    Raises:
        NotFiniteError: the loss or a validation prediction is no number.
    """
    device, params = torch.device(setup.device), job.candidate.params
    whole = torch.from_numpy(setup.splits.train).to(device)
    if not model.unlabelled:  # rows without any label would only dilute the batches
        whole = whole[torch.stack([data.observed[name][whole] for name in setup.specs]).any(0)]
    listeners = [found for r in model.regularisers if (found := optional(r, "epoch"))]
    rows, held = hold_out(whole, job.seed) if listeners else (whole, whole[:0])
    size = min(int(params["train/batch_size"]), len(rows))
    steps = math.ceil(len(rows) / size) * job.epochs
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = make_optimiser(trained, params)
    schedule = make_schedule(optimiser, params, steps)
    shuffle = torch.Generator().manual_seed(job.seed + 1)
    augment = torch.Generator(device=device).manual_seed(job.seed + 2)
    sign = 1.0 if METRICS[setup.metric].maximise else -1.0
    done = Trained(model, value=-sign * math.inf, best_epoch=-1)
    best: dict[str, Any] = {}
    step = 0
    for epoch in range(job.epochs):
        start = time.perf_counter()
        model.train()
        total = torch.zeros((), device=device)
        for index in batches(rows, size, shuffle):
            arrays, present = data.gather(index)
            batch = data.batch(index, present, step / steps)
            with precision(device):
                value, result, batch = objective(
                    model, augmented(model, arrays, augment), batch, loss
                )
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            for regulariser in model.regularisers:
                if after := optional(regulariser, "after_backward"):
                    after(result, batch, model.groups())
            nn.utils.clip_grad_norm_(trained, CLIP)
            optimiser.step()
            schedule.step()
            total += value.detach() * len(index)
            step += 1
        done.losses.append(float(total) / len(rows))
        if not math.isfinite(done.losses[-1]):
            raise NotFiniteError(
                f"the training loss of epoch {epoch + 1} is not a finite number",
                first_odd(model, arrays, batch, loss, job.candidate),
            )
        if listeners:
            for listen in listeners:
                listen(*(side_losses(model, data, loss, part) for part in (rows, held)))
        done.curve.append(validate(model, data, loss, setup))
        if sign * done.curve[-1] > sign * done.value:
            done.value, done.best_epoch = done.curve[-1], epoch
            best = copy.deepcopy(model.state_dict())
        done.seconds += time.perf_counter() - start
        keep = yield done.curve[-1], done.losses[-1]
        done.pruned = not keep
        if done.pruned or epoch - done.best_epoch >= job.patience:
            break
    model.load_state_dict(best)
    return done


def validate(model: MultimodalModel, data: Data, loss: TaskLoss, setup: Setup) -> float:
    """The primary metric on the validation rows."""
    predicted = predict(model, data, loss, setup.splits.valid)[setup.primary]
    if not np.isfinite(predicted).all():
        raise NotFiniteError("a validation prediction is not a finite number")
    truth = setup.targets[setup.primary][setup.splits.valid]
    return score(setup.metric, setup.specs[setup.primary], truth, predicted)


def predict(
    model: MultimodalModel, data: Data, loss: TaskLoss, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """{target: (len(rows), width)} probabilities or numbers."""
    device = next(iter(data.present.values())).device
    model.eval()
    parts: list[Mapping[str, Tensor]] = []
    with torch.inference_mode(), precision(device):
        where = torch.from_numpy(np.asarray(rows)).to(device)
        for start in range(0, len(where), EVALUATION_BATCH):
            index = where[start : start + EVALUATION_BATCH]
            parts.append(model(*data.gather(index)).outputs)
    return loss.predictions({name: torch.cat([p[name] for p in parts]) for name in parts[0]})
