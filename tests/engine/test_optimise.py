"""The optimiser's steps and the whole loop are PyTorch's own, for every trial of a pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from mmauto.engine.batches import Data, batches
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.model import seeded_build
from mmauto.engine.objective import objective
from mmauto.engine.optimise import CLIP, Optimiser, Schedule
from mmauto.engine.packed.form import trained
from mmauto.engine.train import Pack
from mmauto.registry import Registry

STEPS, WARM = 20, 4
SLOTS = ((1e-2, 1e-1), (3e-3, 0.0), (1e-1, 1e-2))
"""Learning rate and weight decay."""
SHAPES = ((5, 3), (3,), (3, 2, 2), (1, 4))


def own(kind: str, lr: float, decay: float, schedule: str = "cosine") -> dict[str, Any]:
    return {
        "train/optimiser": kind, "train/lr": lr, "train/weight_decay": decay,
        "train/schedule": schedule, "train/warm_up": WARM / STEPS,
    }  # fmt: skip


class Reference:
    """What a loop of PyTorch's parts does with some parameters."""

    def __init__(
        self, weights: Sequence[Tensor], params: dict[str, Any], rates: Sequence[float] = (),
        steps: int = STEPS, warm: int = WARM,
    ):  # fmt: skip
        self.weights = [nn.Parameter(weight.detach().clone()) for weight in weights]
        lr, decay = params["train/lr"], params["train/weight_decay"]
        groups = [
            {"params": [w], "lr": lr * rate, "weight_decay": decay if w.ndim > 1 else 0.0}
            for w, rate in zip(self.weights, rates or [1.0] * len(weights), strict=True)
        ]
        kind = params["train/optimiser"]
        if kind == "sgd":
            self.optimiser: Any = SGD(groups, lr, momentum=0.9, nesterov=True)
        else:
            self.optimiser = {"adamw": AdamW, "adam": Adam}[kind](groups, lr)
        rise = LinearLR(self.optimiser, 1 / warm, total_iters=warm - 1)
        later: LRScheduler = LinearLR(self.optimiser, 1.0, 1.0)
        if params["train/schedule"] == "cosine":
            later = CosineAnnealingLR(self.optimiser, steps - warm)
        self.schedule = SequentialLR(self.optimiser, [rise, later], [warm])

    def step(self, grads: Sequence[Tensor | None]) -> None:
        for weight, grad in zip(self.weights, grads, strict=True):
            weight.grad = None if grad is None else grad.clone()
        nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimiser.step()
        self.schedule.step()


def gradients(source: torch.Generator, step: int) -> list[Tensor]:
    """Below the clipping norm and beyond it by turns."""
    size = (0.01, 5.0, 0.1)[step % 3]
    return [size * torch.randn(shape, generator=source) for shape in SHAPES]


def total(grads: Sequence[Tensor | None]) -> Tensor:
    return nn.utils.get_total_norm([grad for grad in grads if grad is not None])


def close(found: Sequence[Sequence[Tensor]], wanted: Sequence[Reference]) -> None:
    for one, other in zip(found, wanted, strict=True):
        for weight, right in zip(one, other.weights, strict=True):
            torch.testing.assert_close(weight, right.detach(), rtol=1e-6, atol=1e-6)


def each_trial(source: torch.Generator, count: int) -> list[list[Tensor]]:
    return [[torch.randn(shape, generator=source) for shape in SHAPES] for _ in range(count)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_twenty_steps_are_those_of_pytorch(kind: str, schedule: str, count: int) -> None:
    source = torch.Generator().manual_seed(0)
    weights = each_trial(source, count)
    params = [own(kind, *slot, schedule) for slot in SLOTS[:count]]
    wanted = [Reference(w, p) for w, p in zip(weights, params, strict=True)]
    optimiser, factors = Optimiser(params, weights), Schedule.of(params[0], STEPS)
    before = [[weight.clone() for weight in trial] for trial in weights]
    for step in range(STEPS):
        slots = [gradients(source, step) for _ in range(count)]
        for reference, grads in zip(wanted, slots, strict=True):
            reference.step(grads)
        norms = torch.stack([total(grads) for grads in slots])
        optimiser.step(slots, norms, factors.factor(step))
        close(weights, wanted)
    assert all((a - b).norm() > 1e-2 for a, b in zip(weights[0], before[0], strict=True))


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_parameters_with_rates_of_their_own_and_trials_that_stay_go_on_alike(kind: str) -> None:
    source = torch.Generator().manual_seed(1)
    weights, rates = each_trial(source, 3), (1.0, 0.1, 0.01, 1.0)
    params = [own(kind, *slot) for slot in SLOTS]
    wanted = [Reference(w, p, rates) for w, p in zip(weights, params, strict=True)]
    optimiser, factors = Optimiser(params, weights, rates), Schedule.of(params[0], STEPS)
    for step in range(STEPS):
        if step == STEPS // 2:
            weights = [[weight.clone() for weight in weights[place]] for place in (0, 2)]
            wanted = [wanted[0], wanted[2]]
            optimiser.keep([0, 2], weights)
        slots: list[list[Tensor | None]] = [[*gradients(source, step)] for _ in weights]
        for grads in slots:
            grads[2] = None  # took no part
        for reference, grads in zip(wanted, slots, strict=True):
            reference.step(grads)
        optimiser.step(slots, torch.stack([total(g) for g in slots]), factors.factor(step))
    close(weights, wanted)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_a_step_that_is_not_finite_changes_its_own_trial_in_nothing(kind: str) -> None:
    source = torch.Generator().manual_seed(2)
    weights = each_trial(source, 2)
    params = [own(kind, *slot) for slot in SLOTS[:2]]
    wanted = Reference(weights[1], params[1])
    before = [weight.clone() for weight in weights[0]]
    slots = [gradients(source, 0) for _ in weights]
    slots[0][1][0] = torch.nan
    wanted.step(slots[1])
    norms = torch.stack([total(grads) for grads in slots])
    Optimiser(params, weights).step(slots, norms, 1 / WARM)
    close(weights[1:], [wanted])
    assert all(map(torch.equal, weights[0], before))


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_the_loop_trains_as_a_plain_loop_of_pytorch_does(
    kind: str,
    setup: Setup,
    registry: Registry,
    make_job: Callable[..., TrialJob],
    tmp_path: Path,
) -> None:
    """Two epochs of two trials with rates and decays of their own."""
    executor = Executor(setup, registry)
    jobs = [
        make_job(place, epochs=2, params={**own(kind, *SLOTS[place]), "fusion/dropout": 0.0})
        for place in range(2)
    ]
    inputs = executor.inputs(jobs[0])
    data = Data(setup, inputs, executor.loss)

    def build() -> list[Any]:
        return [seeded_build(job.candidate, inputs, setup.specs, registry, job.id) for job in jobs]

    pack = Pack(jobs, build(), data, executor.loss, setup, tmp_path / "forms")
    for _ in range(2):
        pack.epoch()
    assert pack.step == pack.steps == 10
    for slot, model in zip(pack.slots, build(), strict=True):
        params = slot.job.candidate.params
        loop = Reference(trained(model), dict(params), steps=10, warm=2)
        # the loop's copies take the model's place
        for weight, copied in zip(trained(model), loop.weights, strict=True):
            weight.data = copied.data
        order = torch.Generator().manual_seed(slot.job.seed + 1)
        for _ in range(2):
            model.train()
            for index in batches(torch.from_numpy(setup.splits.train), 32, order):
                arrays, present = data.gather(index)
                batch = data.batch(index, present, 0.0)
                value = objective(model, arrays, batch, executor.loss)[0]
                loop.step(torch.autograd.grad(value, trained(model), allow_unused=True))
        for weight, found in zip(trained(model), trained(slot.model), strict=True):
            torch.testing.assert_close(found, weight, rtol=1e-4, atol=2e-5)
