"""A form that mixes the trials of a pack is refused, although all of them begin with one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmauto.engine.batches import Data
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel, seeded_build
from mmauto.engine.packed.agreement import unlike
from mmauto.engine.packed.choose import choose
from mmauto.engine.packed.form import Form
from mmauto.engine.packed.vmapped import Vmapped
from mmauto.engine.remember import Memory
from mmauto.plugin import Fusion, FusionResult, hookimpl
from mmauto.registry import Registry, load_registry
from mmauto.space import defaults, scoped

Make = Callable[..., TrialJob]
RATES = (1e-3, 2e-2, 5e-3)


class Centred(Fusion):
    """Adds up features; in training they are centred by their mean over the batch."""

    name, stage, summary, reference = "centred", "early", "a centred sum", "a test"

    def build(self, features: Any, heads: Any, params: Any) -> Any:
        keys = sorted(features)

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linears = nn.ModuleList(nn.Linear(features[k].dim, 16) for k in keys)
                self.heads = heads(16)

            def forward(self, tokens: Any, present: Any) -> FusionResult:
                parts = zip(keys, self.linears, strict=True)
                # not linear: a bias that is centred away would have gradients of rounding alone
                fused = sum(linear(tokens[k].mean()).tanh() for k, linear in parts)
                return FusionResult(self.heads(fused - fused.mean(0) if self.training else fused))

        return Net()


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """With the fusion above."""
    plugin = SimpleNamespace(mmauto_fusions=hookimpl(lambda: [Centred()]))
    return load_registry({"test:centred": plugin})


def jobs_of(make_job: Make, component: str, **params: Any) -> list[TrialJob]:
    """Trials of one seed, as a search packs them."""
    return [
        make_job(n, component=component, pack="p", params={"train/lr": rate, **params})
        for n, rate in enumerate(RATES)
    ]


def run(setup: Setup, registry: Registry, jobs: Sequence[TrialJob]) -> Sequence[Outcome]:
    def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        return dict.fromkeys(values, True)

    return Executor(setup, registry).run_pack(jobs, go_on)


def parts_of(
    setup: Setup, registry: Registry, jobs: Sequence[TrialJob]
) -> tuple[list[MultimodalModel], Data, TaskLoss]:
    executor = Executor(setup, registry)
    inputs = executor.inputs(jobs[0])
    models = [seeded_build(job.candidate, inputs, setup.specs, registry, job.seed) for job in jobs]
    return models, Data(setup, inputs, executor.loss), executor.loss


def chosen(models: Sequence[MultimodalModel], data: Data, loss: TaskLoss) -> Form:
    index = torch.arange(32)
    arrays, present = data.gather(index)
    return choose(models, loss, arrays, data.batch(index, present, 0.0), Path("unused"))


@pytest.mark.parametrize(("wanted", "used"), [("folded", "alone"), ("vmapped", "vmapped")])
def test_a_fusion_that_mixes_rows_in_training_is_never_folded(
    wanted: str,
    used: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    jobs = jobs_of(make_job, "centred")
    alone = run(setup, registry, [replace(job, pack="") for job in jobs])
    forms = forced(wanted)
    packed = run(setup, registry, jobs)
    assert forms == [used]
    assert len({outcome.losses for outcome in alone}) == len(jobs)
    for one, other in zip(packed, alone, strict=True):
        assert one.state == "complete"
        assert np.allclose(one.curve, other.curve, atol=1e-6)
        assert np.allclose(one.losses, other.losses, rtol=1e-3)


def test_what_only_counts_later_in_training_is_compared_too(
    setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = registry.regulariser("infonce").space(setup.task)
    params = {"regulariser": "infonce", **defaults(scoped("regulariser/infonce", own))}
    params["regulariser/infonce/warm_up"] = 0.5  # at the first step the term is nothing
    jobs = jobs_of(make_job, "concat_mlp", **params)
    models, data, loss = parts_of(setup, registry, jobs)
    for model, weight in zip(models, (0.1, 1.0, 0.5), strict=True):
        model.regularisers[0].strength.weight.fill_(weight)  # type: ignore[union-attr, operator]
    monkeypatch.setattr(Memory, "get", lambda self, key: "vmapped")
    assert chosen(models, data, loss).name == "vmapped"
    honest = Vmapped.__init__

    def first_for_all(self: Vmapped, *given: Any) -> None:
        honest(self, *given)
        self.buffers = {n: b[:1].expand_as(b) for n, b in self.buffers.items()}

    monkeypatch.setattr(Vmapped, "__init__", first_for_all)
    assert chosen(models, data, loss).name == "alone"


def test_weights_are_moved_apart_and_put_back_exactly(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    models, _, _ = parts_of(setup, registry, jobs_of(make_job, "concat_mlp"))
    before = [[p.detach().clone() for p in model.parameters()] for model in models]
    torch.manual_seed(7)
    wanted = torch.rand(2)
    torch.manual_seed(7)
    with unlike(models):
        found = [list(model.parameters()) for model in models]
        for first, second, third in zip(*found, strict=True):
            assert not torch.equal(first, second)
            assert not torch.equal(second, third)
    assert torch.equal(torch.rand(2), wanted)
    for model, own in zip(models, before, strict=True):
        assert all(torch.equal(p, kept) for p, kept in zip(model.parameters(), own, strict=True))
    with unlike(models):
        again = [p.detach().clone() for p in models[0].parameters()]
    with unlike(models):
        assert all(torch.equal(a, b) for a, b in zip(again, models[0].parameters(), strict=True))


def test_a_form_is_compared_on_the_buffers_that_all_begin_with(
    setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics of a norm over batches, which each step changes, do not tell forms apart."""
    models, data, loss = parts_of(setup, registry, jobs_of(make_job, "concat_mlp"))
    for place, model in enumerate(models):
        model.fusion = Normed(model.fusion, setup.specs["y"].width)
        model.fusion.norm.running_mean = torch.full((setup.specs["y"].width,), float(place))
    monkeypatch.setattr(Memory, "get", lambda self, key: "vmapped")
    assert chosen(models, data, loss).name == "vmapped"
    assert float(models[2].fusion.norm.running_mean[0]) == 2.0  # type: ignore[union-attr, index]


class Normed(nn.Module):
    """A fusion whose outputs go through a norm over the batch."""

    def __init__(self, inner: nn.Module, width: int):
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm1d(width)

    def forward(self, tokens: Any, present: Any) -> FusionResult:
        found: FusionResult = self.inner(tokens, present)
        return replace(found, outputs={**found.outputs, "y": self.norm(found.outputs["y"])})


class Remembering(nn.Module):
    """A fusion that trains on what earlier steps have seen, kept in a new tensor a step."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.seen: torch.Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, tokens: Any, present: Any) -> FusionResult:
        found: FusionResult = self.inner(tokens, present)
        if not self.training:
            return found
        before, self.seen = self.seen, self.seen + found.outputs["y"].detach().mean()
        return replace(found, outputs={n: value + before for n, value in found.outputs.items()})


@pytest.mark.parametrize("form", ["folded", "vmapped"])
def test_a_form_that_forgets_what_a_step_left_behind_is_refused(
    form: str, setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, data, loss = parts_of(setup, registry, jobs_of(make_job, "concat_mlp"))
    for model in models:
        model.fusion = Remembering(model.fusion)
    monkeypatch.setattr(Memory, "get", lambda self, key: form)
    assert chosen(models, data, loss).name == "alone"
    assert [float(model.fusion.seen) for model in models] == [0.0] * len(models)  # type: ignore[arg-type]
