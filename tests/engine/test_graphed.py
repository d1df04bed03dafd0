"""Steps repeated from a graph: a stand-in for CUDA's recorder shows what is copied and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmauto.engine.batches import Data
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel, seeded_build
from mmauto.engine.packed import choose as choosing
from mmauto.engine.packed import graphed
from mmauto.engine.packed.choose import Memory, choose
from mmauto.engine.packed.form import Form, Gradients
from mmauto.engine.packed.graphed import Graphed, GraphedFolded, GraphedVmapped
from mmauto.registry import Registry
from mmauto.space import defaults, scoped
from mmauto.values import TaskView

Parts = tuple[list[MultimodalModel], Data, TaskLoss]


def replayed(step: Callable[[], Gradients]) -> tuple[Gradients, Callable[[], None]]:
    """As a graph does: the same memory, filled anew from the inputs' memory."""
    for _ in range(graphed.WARM_UP):
        step()
    found = step()

    def again() -> None:
        fresh = step()
        found.losses.copy_(fresh.losses)
        found.norms.copy_(fresh.norms)
        for held, given in zip(found.slots, fresh.slots, strict=True):
            for one, other in zip(held, given, strict=True):
                if one is not None and other is not None:
                    one.copy_(other)

    return found, again


def frozen(step: Callable[[], Gradients]) -> tuple[Gradients, Callable[[], None]]:
    """A recording in which nothing moves."""
    return step(), lambda: None


@pytest.fixture
def parts(setup: Setup, registry: Registry, make_job: Callable[..., TrialJob]) -> Parts:
    """Three models with dropout, and what they train on."""
    view = TaskView(
        "toy", dict.fromkeys(("left", "right"), "tabular"), setup.specs, "y", "accuracy"
    )
    space = defaults(scoped("fusion", registry.fusion("concat_mlp").space(view)))
    params = {**space, "fusion/dropout": 0.3, "fusion/width": 32}
    jobs = [make_job(n, component="concat_mlp", pack="p", params=params) for n in range(3)]
    executor = Executor(setup, registry)
    inputs = executor.inputs(jobs[0])
    models = [seeded_build(job.candidate, inputs, setup.specs, registry, job.id) for job in jobs]
    return models, Data(setup, inputs, executor.loss), executor.loss


def step(form: Form, data: Data, rows: torch.Tensor, progress: float) -> Gradients:
    torch.manual_seed(3)
    form.mode(True)
    arrays, present = data.gather(rows)
    return form.gradients(arrays, data.batch(rows, present, progress))


@pytest.mark.parametrize("kind", [GraphedFolded, GraphedVmapped])
def test_every_batch_gets_its_own_gradients(
    kind: type[Graphed], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, data, loss = parts
    monkeypatch.setattr(graphed, "record", replayed)
    repeated, plain = kind(models, loss), kind.inner(models, loss)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
    # the third batch is a shorter one, as the last of an epoch may be
    for rows, progress in zip(order.split([32, 32, 20, 12]), (0.0, 0.3, 0.6, 1.0), strict=True):
        wanted = step(plain, data, rows, progress)
        found = step(repeated, data, rows, progress)
        torch.testing.assert_close(found.losses, wanted.losses)
        torch.testing.assert_close(found.norms, wanted.norms)
        torch.testing.assert_close(found.slots, wanted.slots)


def test_recording_leaves_random_numbers_as_they_were(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, data, loss = parts
    monkeypatch.setattr(graphed, "record", replayed)
    form, rows = GraphedFolded(models, loss), torch.arange(32)
    first = step(form, data, rows, 0.0).losses.clone()
    assert torch.equal(step(form, data, rows, 0.0).losses, first)


@pytest.mark.parametrize(("recorder", "name"), [(replayed, "graphed folded"), (frozen, "alone")])
def test_a_recording_that_stands_still_is_not_used(
    recorder: Any, name: str, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, data, loss = parts
    monkeypatch.setattr(graphed, "record", recorder)
    monkeypatch.setattr(choosing, "_others", lambda device: (GraphedFolded,))
    monkeypatch.setattr(Memory, "get", lambda self, key: "graphed folded")
    rows = torch.arange(32)
    arrays, present = data.gather(rows)
    found = choose(models, loss, arrays, data.batch(rows, present, 0.0), Path("unused"))
    assert found.name == name


def test_the_whole_training_is_the_same(
    setup: Setup,
    registry: Registry,
    make_job: Callable[..., TrialJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = [{"train/lr": rate, "fusion/dropout": 0.0} for rate in (1e-3, 5e-3, 2e-3)]
    jobs = [
        make_job(n, component="concat_mlp", pack="p", params=own) for n, own in enumerate(rates)
    ]

    def go_on(epoch: int, values: Any) -> Any:
        return {number: not (epoch == 1 and number == 1) for number in values}

    alone = Executor(setup, registry).run_pack([replace(job, pack="") for job in jobs], go_on)
    used: list[str] = []

    def forced(models: Any, loss: Any, *rest: Any) -> Form:
        used.append("graphed folded")
        return GraphedFolded(models, loss)

    monkeypatch.setattr(graphed, "record", replayed)
    monkeypatch.setattr("mmauto.engine.train.choose", forced)
    packed = Executor(setup, registry).run_pack(jobs, go_on)
    assert used
    for one, other in zip(packed, alone, strict=True):
        assert one.curve == pytest.approx(other.curve, abs=1e-6)
        assert one.losses == pytest.approx(other.losses, rel=1e-4)
