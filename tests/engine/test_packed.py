"""Trials of a pack get what they would get one by one, in every form that trains them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmauto.engine.batches import Data
from mmauto.engine.executor import Executor, packs
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel, seeded_build
from mmauto.engine.packed import choose as choosing
from mmauto.engine.packed.agreement import agree
from mmauto.engine.packed.choose import Memory, choose
from mmauto.engine.packed.folded import Folded
from mmauto.engine.packed.form import Alone, Form, Gradients, UnfitError, gradients_of
from mmauto.engine.packed.vmapped import Vmapped
from mmauto.engine.predict import predict
from mmauto.registry import Registry, load_registry
from mmauto.space import Float, defaults, scoped
from mmauto.values import TaskView

Make = Callable[..., TrialJob]
FUSIONS = sorted(load_registry().all("fusion"))
SLOTS = 3
FOLDS = {
    "additive_attention", "concat_mlp", "cross_attention", "film", "gmu", "joint_auxiliary",
    "logit_mean", "logit_sum", "low_rank_tensor", "mfb", "self_attention",
}  # fmt: skip
"""Fusions made of layers alone: the default ones must be among them, or a search is slow."""


def task_of(setup: Setup) -> TaskView:
    keys = {"left": "tabular", "right": "tabular"}
    return TaskView("toy", keys, setup.specs, "y", setup.metric)


def spread(place: int, dimension: Float) -> float:
    """A value for each slot, from one end of the range to the other."""
    share = place / (SLOTS - 1)
    return float(dimension.low + share * (dimension.high - dimension.low))


def jobs_of(
    fusion: str, setup: Setup, registry: Registry, make_job: Make, **changes: Any
) -> list[TrialJob]:
    """Three trials that differ in everything that packs."""
    space = scoped("fusion", registry.fusion(fusion).space(task_of(setup)))
    name = changes.pop("regulariser", "none")
    if name != "none":
        own = registry.regulariser(name).space(task_of(setup))
        space |= scoped(f"regulariser/{name}", own)
    found = []
    for place in range(SLOTS):
        params: dict[str, Any] = {
            **defaults(space), "regulariser": name,
            "train/lr": (1e-3, 5e-3, 2e-3)[place], "train/weight_decay": (1e-3, 1e-1, 1e-2)[place],
        }  # fmt: skip
        if "fusion/width" in params:
            params["fusion/width"] = 64
        for key, dimension in space.items():
            if isinstance(dimension, Float) and (dimension.packs or key == "fusion/dropout"):
                params[key] = spread(place, dimension)
        found.append(make_job(place, component=fusion, pack="p", params=params, **changes))
    return found


@pytest.fixture
def build(setup: Setup, registry: Registry) -> Callable[[Sequence[TrialJob]], tuple[Any, ...]]:
    def one(jobs: Sequence[TrialJob]) -> tuple[list[MultimodalModel], Data, TaskLoss]:
        executor = Executor(setup, registry)
        inputs = executor.inputs(jobs[0])
        # different weights, as if they had trained for a while
        models = [
            seeded_build(job.candidate, inputs, setup.specs, registry, job.id) for job in jobs
        ]
        return models, Data(setup, inputs, executor.loss), executor.loss

    return one


def step(form: Form, data: Data, seed: int = 3) -> Gradients:
    torch.manual_seed(seed)
    form.mode(True)
    index = torch.arange(32)
    arrays, present = data.gather(index)
    return form.gradients(arrays, data.batch(index, present, 0.5))


def forms_of(models: Sequence[MultimodalModel], loss: TaskLoss, data: Data) -> dict[str, Gradients]:
    """What each form that takes the models gives for one step."""
    found = {}
    for kind in (Folded, Vmapped):
        try:
            found[kind.name] = step(kind(models, loss), data)
        except Exception:
            continue
    return found


@pytest.mark.parametrize("encoder", ["toy_frozen", "toy_trained"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_form_gives_every_trial_its_own_gradients(
    fusion: str,
    encoder: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    build: Callable[[Sequence[TrialJob]], tuple[Any, ...]],
) -> None:
    models, data, loss = build(jobs_of(fusion, setup, registry, make_job, encoder=encoder))
    wanted = step(Alone(models, loss), data)
    found = forms_of(models, loss, data)
    if fusion in FOLDS:
        assert agree(wanted, found["folded"])
    assert any(agree(wanted, given) for given in found.values())


def run(
    setup: Setup, registry: Registry, jobs: Sequence[TrialJob], keep: Any = None
) -> Sequence[Outcome]:
    def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        return keep(epoch, values) if keep else dict.fromkeys(values, True)

    return Executor(setup, registry).run_pack(jobs, go_on)


def same(packed: Sequence[Outcome], alone: Sequence[Outcome]) -> None:
    for one, other in zip(packed, alone, strict=True):
        assert one.state == other.state
        assert one.best_epoch == other.best_epoch
        assert np.allclose(one.curve, other.curve, atol=1e-6)
        assert np.allclose(one.losses, other.losses, rtol=1e-3)
        assert all(np.allclose(one.valid[n], other.valid[n], atol=2e-3) for n in other.valid)


@pytest.mark.parametrize(
    ("form", "fusion"),
    [
        ("folded", "concat_mlp"), ("folded", "joint_auxiliary"), ("folded", "cross_attention"),
        ("vmapped", "concat_mlp"), ("vmapped", "poe_vae"), ("alone", "concat_mlp"),
    ],
)  # fmt: skip
def test_a_pack_ends_where_its_trials_would_end_alone(
    form: str,
    fusion: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    jobs = jobs_of(fusion, setup, registry, make_job, epochs=8)
    # trials end at different epochs, so those left move together
    jobs = [replace(job, patience=3) for job in jobs]
    alone = run(setup, registry, [replace(job, pack="") for job in jobs])
    used = forced(form)
    packed = run(setup, registry, jobs)
    assert used == [form]
    same(packed, alone)


@pytest.mark.parametrize("form", ["folded", "vmapped"])
def test_a_trial_that_is_pruned_leaves_the_others_as_they_were(
    form: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job)
    alone = run(setup, registry, [replace(job, pack="") for job in jobs])
    forced(form)

    def keep(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        return {number: not (epoch == 1 and number == 1) for number in values}

    packed = run(setup, registry, jobs, keep)
    assert [outcome.state for outcome in packed] == ["complete", "pruned", "complete"]
    same([packed[0], packed[2]], [alone[0], alone[2]])
    assert packed[1].curve == pytest.approx(alone[1].curve[:2])


@pytest.mark.parametrize(
    ("regulariser", "form"),
    [("modality_dropout", "folded"), ("modality_dropout", "vmapped"), ("infonce", "vmapped")],
)
def test_regularisers_act_on_each_trial_with_its_own_numbers(
    regulariser: str,
    form: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job, regulariser=regulariser)
    alone = run(setup, registry, [replace(job, pack="") for job in jobs])
    used = forced(form)
    packed = run(setup, registry, jobs)
    assert used == [form]
    same(packed, alone)


def test_a_regulariser_that_changes_gradients_trains_one_by_one(
    setup: Setup,
    registry: Registry,
    make_job: Make,
    build: Callable[[Sequence[TrialJob]], tuple[Any, ...]],
) -> None:
    jobs = jobs_of("logit_sum", setup, registry, make_job, regulariser="ogm_ge")
    models, _, loss = build(jobs)
    for kind, word in ((Folded, "regulariser"), (Vmapped, "changes gradients")):
        with pytest.raises(UnfitError, match=word):
            kind(models, loss)
    same(run(setup, registry, jobs), run(setup, registry, [replace(j, pack="") for j in jobs]))


@pytest.mark.parametrize("what", ["gradients", "outputs"])
def test_a_form_that_mixes_trials_is_found_out(
    what: str,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    build: Callable[[Sequence[TrialJob]], tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, data, loss = build(jobs_of("concat_mlp", setup, registry, make_job))
    honest: Any = getattr(Folded, what)

    def wrong(self: Folded, arrays: Any, batch: Any) -> Any:
        found = honest(self, arrays, batch)
        if what == "gradients":
            return replace(found, slots=[found.slots[0]] * len(found.slots))
        return {name: value[:1].expand_as(value) for name, value in found.items()}

    monkeypatch.setattr(Folded, what, wrong)
    monkeypatch.setattr(Memory, "get", lambda self, key: "folded")
    arrays, present = data.gather(torch.arange(32))
    found = choose(models, loss, arrays, data.batch(torch.arange(32), present, 0.0), None)  # type: ignore[arg-type]
    assert found.name == "alone"


def test_choosing_leaves_random_numbers_and_weights_as_they_were(
    tmp_path: Any,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    build: Callable[[Sequence[TrialJob]], tuple[Any, ...]],
) -> None:
    models, data, loss = build(jobs_of("multimodal_cnn", setup, registry, make_job))
    before = [{n: t.clone() for n, t in m.state_dict().items()} for m in models]
    index = torch.arange(32)
    arrays, present = data.gather(index)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    file = tmp_path / "forms.json"
    first = choose(models, loss, arrays, data.batch(index, present, 0.0), file)
    assert torch.equal(torch.rand(3), wanted)
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(tensor, state[n]) for n, tensor in model.state_dict().items())
    # what was measured once is not measured again
    choosing_again = Memory(file).get(choosing.signature(models, data.batch(index, present, 0.0)))
    assert choosing_again == first.name


def test_a_damaged_memory_is_measured_again(tmp_path: Any) -> None:
    file = tmp_path / "forms.json"
    file.write_text("{broken")
    assert Memory(file).get("k") is None
    Memory(file).put("k", lambda kept: kept or "folded")
    assert Memory(file).get("k") == "folded"
    assert Memory(file).get("other") is None


def bursting(job: TrialJob) -> TrialJob:
    params = {**job.candidate.params, "train/lr": 1e38}
    return replace(job, candidate=replace(job.candidate, params=params))


def test_a_trial_whose_numbers_burst_leaves_its_pack(
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job)
    good = run(setup, registry, [replace(job, pack="") for job in jobs])
    forced("folded")
    packed = run(setup, registry, [jobs[0], bursting(jobs[1]), jobs[2]])
    assert packed[1].state == "failed"
    assert packed[1].failure is not None
    assert packed[1].failure.kind == "nan"
    same([packed[0], packed[2]], [good[0], good[2]])


def test_a_pack_that_breaks_is_taken_apart(
    setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job)
    good = run(setup, registry, [replace(job, pack="") for job in jobs])
    honest = Alone.gradients

    def break_once_together(self: Any, arrays: Any, batch: Any) -> Gradients:
        if len(self.models) == SLOTS and batch.progress > 0.2:
            raise RuntimeError("together it does not work")
        return honest(self, arrays, batch)

    monkeypatch.setattr(Alone, "gradients", break_once_together)
    monkeypatch.setattr(Memory, "get", lambda self, key: "alone")
    same(run(setup, registry, jobs), good)


def test_only_jobs_of_one_name_and_seed_are_packed(make_job: Make) -> None:
    jobs = [
        make_job(0, pack="a"), make_job(1), make_job(2, pack="a"), make_job(3),
        make_job(4, pack="b"), make_job(5, pack="a", seed=9),
    ]  # fmt: skip
    assert [[job.id for job in pack] for pack in packs(jobs)] == [[0, 2], [1], [3], [4], [5]]


def test_dropout_draws_once_for_all_trials() -> None:
    from mmauto.engine.dropout import Dropout, swap_dropout

    values = torch.ones(3 * 4, 50)
    torch.manual_seed(0)
    whole = Dropout(torch.tensor([0.0, 0.3, 0.6])).train()(values).view(3, 4, 50)
    for place, rate in enumerate((0.0, 0.3, 0.6)):
        torch.manual_seed(0)
        assert torch.equal(Dropout(rate).train()(values[:4]), whole[place])
    assert torch.equal(whole[0], torch.ones(4, 50))
    torch.manual_seed(1)
    many = Dropout(0.3).train()(torch.ones(200_000))
    assert float((many == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(many.mean()) == pytest.approx(1.0, abs=0.01)
    plain = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.4)), nn.Dropout(1.0))
    swap_dropout(plain)
    assert isinstance(plain[1][0], Dropout)
    assert type(plain[2]) is nn.Dropout
    assert plain.state_dict().keys() == {"0.weight", "0.bias"}


class Scaled(nn.Module):
    """A fusion that reads a buffer of its own in its forward pass."""

    def __init__(self, inner: nn.Module, scale: float, counts: bool = False):
        super().__init__()
        self.inner, self.counts = inner, counts
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, tokens: Any, present: Any) -> Any:
        found = self.inner(tokens, present)
        if self.counts and self.training:
            self.scale += 1.0
        return replace(found, outputs={n: self.scale * o for n, o in found.outputs.items()})


@pytest.mark.parametrize("counts", [False, True])
def test_a_buffer_of_one_model_never_serves_another(
    counts: bool,
    tmp_path: Any,
    setup: Setup,
    registry: Registry,
    make_job: Make,
    build: Callable[[Sequence[TrialJob]], tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, data, loss = build(jobs_of("concat_mlp", setup, registry, make_job))
    # the ends agree; only the middle one would get another's
    for model, scale in zip(models, (1.0, 1.0 if counts else 5.0, 1.0), strict=True):
        model.fusion = Scaled(model.fusion, scale, counts)
    arrays, present = data.gather(torch.arange(32))
    monkeypatch.setattr(Memory, "get", lambda self, key: "folded")
    batch = data.batch(torch.arange(32), present, 0.0)
    assert choose(models, loss, arrays, batch, tmp_path / "f").name == "alone"


def test_a_gradient_that_serves_two_parameters_is_scaled_once() -> None:
    shared = torch.ones(2, 3)
    found = gradients_of(torch.zeros(2), [shared, None, shared])
    first, none, second = found.slots[0]
    assert none is None
    assert first is not None
    assert second is not None
    assert first.data_ptr() != second.data_ptr()
    assert torch.allclose(found.norms, torch.tensor(6.0).sqrt())


def test_finding_the_culprit_leaves_the_neighbours_draws_alone(
    setup: Setup,
    registry: Registry,
    make_job: Make,
    forced: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job)
    good = run(setup, registry, [replace(job, pack="") for job in jobs])

    def drawing(*given: Any) -> tuple[str, str]:
        torch.rand(7)
        return "fusion", "concat_mlp"

    monkeypatch.setattr("mmauto.engine.train.first_odd", drawing)
    forced("folded")
    packed = run(setup, registry, [jobs[0], bursting(jobs[1]), jobs[2]])
    assert packed[1].state == "failed"
    same([packed[0], packed[2]], [good[0], good[2]])


def test_a_last_step_that_fails_is_the_trials_own_failure(
    setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of("concat_mlp", setup, registry, make_job)
    good = run(setup, registry, [replace(job, pack="") for job in jobs])
    calls: list[int] = []

    def once_full(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return predict(*given)

    monkeypatch.setattr("mmauto.engine.runs.predict", once_full)
    found = run(setup, registry, jobs)
    assert [outcome.state for outcome in found] == ["complete", "failed", "complete"]
    assert found[1].failure is not None
    assert found[1].failure.kind == "disk"
    assert found[1].curve == pytest.approx(good[1].curve)
    same([found[0], found[2]], [good[0], good[2]])


def test_a_trial_that_has_ended_by_itself_is_not_called_pruned(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    def never(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        return dict.fromkeys(values, epoch < 5)

    jobs = jobs_of("concat_mlp", setup, registry, make_job, epochs=6)
    assert {outcome.state for outcome in run(setup, registry, jobs, never)} == {"complete"}


def test_a_metric_that_says_nothing_is_a_sentence(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    splits = setup.splits
    one_class = splits.valid[setup.targets["y"][splits.valid] == 1]
    odd = replace(setup, metric="auroc", splits=replace(splits, valid=one_class))
    control = make_job(9, kind="control", component="majority")
    for outcome in run(odd, registry, [make_job(), control]):
        assert outcome.state == "failed"
        assert outcome.failure is not None
        assert outcome.failure.kind == "data"
        assert "auroc of target 'y' is not (one class only" in outcome.failure.message
