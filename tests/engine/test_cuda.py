"""What needs a CUDA device; skipped, with the reason, where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmauto.engine.batches import Data
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.metrics import score
from mmauto.engine.model import seeded_build
from mmauto.engine.once import precision
from mmauto.engine.packed.folded import Folded
from mmauto.engine.packed.graphed import GraphedFolded
from mmauto.registry import Registry

pytestmark = pytest.mark.gpu


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.mark.parametrize("encoder", ["toy_frozen", "toy_trained"])
def test_a_candidate_learns_on_the_device(
    make_job: Callable[..., TrialJob], setup: Setup, registry: Registry, encoder: str
) -> None:
    there = replace(setup, device="cuda")
    job = make_job(encoder=encoder, epochs=25, patience=25, score_test=True, measure=True)
    (outcome,) = Executor(there, registry).run_pack([job], go_on)
    assert outcome.failure is None
    truth = setup.targets["y"][setup.splits.test]
    assert score("accuracy", setup.specs["y"], truth, outcome.test["y"]) > 0.7
    assert 0 < outcome.costs.peak_memory < 2**33
    assert outcome.costs.latency_64 > 0


def test_a_result_does_not_depend_on_the_jobs_beside_it(
    make_job: Callable[..., TrialJob], setup: Setup, registry: Registry
) -> None:
    there = replace(setup, device="cuda")
    alone = Executor(there, registry).run_pack([make_job(0)], go_on)[0]
    packed = Executor(there, registry).run_pack([make_job(1, seed=7), make_job(0)], go_on)[1]
    np.testing.assert_allclose(alone.valid["y"], packed.valid["y"], atol=5e-2)


def test_bf16_is_used_where_the_device_has_it() -> None:
    with precision(torch.device("cuda")):
        product = torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")
    wanted = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    assert product.dtype == wanted


def test_a_step_from_a_graph_is_the_step(
    make_job: Callable[..., TrialJob], setup: Setup, registry: Registry
) -> None:
    there = replace(setup, device="cuda")
    jobs = [make_job(n, component="concat_mlp", pack="p") for n in range(4)]
    executor = Executor(there, registry)
    inputs = executor.inputs(jobs[0])
    models = [seeded_build(job.candidate, inputs, setup.specs, registry, job.id) for job in jobs]
    data = Data(there, inputs, executor.loss)
    plain, repeated = Folded(models, executor.loss), GraphedFolded(models, executor.loss)
    for start in (0, 32, 64):
        rows = torch.arange(start, start + 32, device="cuda")
        arrays, present = data.gather(rows)
        batch = data.batch(rows, present, start / 96)
        steps = []
        for form in (plain, repeated):
            form.mode(True)
            torch.manual_seed(start)
            steps.append(form.gradients(arrays, batch))
        torch.testing.assert_close(steps[1].losses, steps[0].losses, rtol=5e-2, atol=1e-3)
        torch.testing.assert_close(steps[1].norms, steps[0].norms, rtol=5e-2, atol=1e-3)
