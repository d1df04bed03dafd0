"""Out of memory: smaller packs, batches in parts, the same results; what fits is remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmauto.engine.executor import Executor
from mmauto.engine.jobs import NOTE, Setup, TrialJob
from mmauto.engine.memory import (
    SAFE,
    Room,
    TooLargeError,
    fits,
    halving,
    has_norms,
    leaves_room,
    out_of_memory,
)
from mmauto.engine.model import MultimodalModel
from mmauto.engine.packed import form, parts
from mmauto.engine.packed.form import Alone
from mmauto.engine.remember import Memory
from mmauto.engine.train import Pack
from mmauto.engine.train_space import FINETUNE
from mmauto.registry import Registry
from mmauto.space import defaults, scoped
from mmauto.values import TaskView

Make = Callable[..., TrialJob]


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@dataclass
class Device:
    """A memory in which a step of so many rows fits, those of all trials counted."""

    rows: int = 10**9
    tuned_rows: int = 10**9
    refused: int = 0
    largest: int = 0
    break_at: int = -1
    steps: int = 0

    def take(self, models: Any, rows: int) -> None:
        tuned = any(type(front).__name__ == "Tuned" for front in models[0].encoders)
        self.steps += 1
        if rows > (self.tuned_rows if tuned else self.rows) or self.steps == self.break_at:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.largest = max(self.largest, rows)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    own = Device()
    whole, part = Alone.gradients, parts.objective

    def gradients(self: Alone, arrays: Any, batch: Any) -> Any:
        own.take(self.models, len(self.models) * len(batch.index))
        return whole(self, arrays, batch)

    def objective(model: MultimodalModel, arrays: Any, batch: Any, loss: Any) -> Any:
        own.take([model], len(batch.index))
        return part(model, arrays, batch, loss)

    monkeypatch.setattr(Alone, "gradients", gradients)
    monkeypatch.setattr(parts, "objective", objective)
    return own


def plain(make: Make, number: int, **changes: Any) -> TrialJob:
    """Without dropout, whose draws depend on the parts."""
    params = {"fusion/dropout": 0.0, "train/lr": 3e-3 * (number + 1), **changes.pop("params", {})}
    return make(number, params=params, **changes)


@pytest.mark.fault("memory")
def test_a_pack_that_does_not_fit_is_halved_and_gives_the_same(
    make_job: Make, setup: Setup, registry: Registry, device: Device, tmp_path: Path
) -> None:
    jobs = [plain(make_job, n, pack="p") for n in range(4)]
    wanted = Executor(replace(setup, cache=str(tmp_path / "o")), registry).run_pack(jobs, go_on)
    device.rows = 64
    found = Executor(setup, registry).run_pack(jobs, go_on)
    assert device.refused == 1
    for one, other in zip(wanted, found, strict=True):
        assert other.state == "complete"
        np.testing.assert_allclose(one.curve, other.curve, atol=1e-6)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        np.testing.assert_allclose(one.valid["y"], other.valid["y"], atol=1e-4)


def test_packs_of_a_shape_that_was_too_large_begin_at_a_size_that_fits(
    make_job: Make, setup: Setup, registry: Registry, device: Device
) -> None:
    jobs = [plain(make_job, n, pack="p") for n in range(4)]
    device.rows = 32
    Executor(setup, registry).run_pack(jobs, go_on)
    assert device.refused == 2  # four, two; then each alone
    device.refused = 0
    later = Executor(setup, registry).run_pack(jobs, go_on)
    assert device.refused == 0
    assert [outcome.state for outcome in later] == ["complete"] * 4
    other = [plain(make_job, n, pack="p", params={"fusion/width": 32}) for n in range(4)]
    Executor(setup, registry).run_pack(other, go_on)
    assert device.refused == 2  # of other shapes nothing is known


@pytest.mark.fault("memory")
def test_a_batch_that_does_not_fit_is_trained_in_parts_and_gives_the_same(
    make_job: Make, setup: Setup, registry: Registry, device: Device, tmp_path: Path
) -> None:
    job = plain(make_job, 0, encoder="toy_trained")
    (wanted,) = Executor(replace(setup, cache=str(tmp_path / "o")), registry).run_pack([job], go_on)
    device.rows, device.largest = 9, 0
    said: list[str] = []
    (found,) = Executor(setup, registry, said.append).run_pack([job], go_on)
    assert found.state == "complete"
    assert device.largest <= 9
    np.testing.assert_allclose(wanted.losses, found.losses, rtol=1e-4)
    np.testing.assert_allclose(wanted.valid["days"], found.valid["days"], rtol=1e-2, atol=1e-2)
    notes = [text for text in said if text.startswith(NOTE)]
    assert notes[-1].startswith(f"{NOTE}concat_mlp: batches of 32 rows do not fit into the memory")
    assert "in parts of 8, a step a batch as before" in notes[-1]
    device.refused = 0
    Executor(setup, registry).run_pack([job], go_on)
    assert device.refused == 0


@pytest.mark.parametrize("fusion", ["shared_private", "expert_mixture"])
def test_a_fusion_whose_terms_may_compare_rows_is_not_cut(
    make_job: Make, setup: Setup, registry: Registry, device: Device, fusion: str
) -> None:
    keys = dict.fromkeys(("left", "right"), "tabular")
    view = TaskView("toy", keys, setup.specs, "y", setup.metric)
    own = defaults(scoped("fusion", registry.fusion(fusion).space(view)))
    device.rows = 9
    job = plain(make_job, 0, component=fusion, params=own)
    (found,) = Executor(setup, registry).run_pack([job], go_on)
    assert found.failure is not None
    assert found.failure.kind == "oom"
    assert "cannot be trained in parts" in found.failure.message


@pytest.mark.fault("memory")
def test_memory_that_runs_out_in_a_later_epoch_loses_and_doubles_nothing(
    make_job: Make, setup: Setup, registry: Registry, device: Device, tmp_path: Path
) -> None:
    job = plain(make_job, 0, patience=2, params={"train/lr": 2e-2})
    (wanted,) = Executor(replace(setup, cache=str(tmp_path / "o")), registry).run_pack([job], go_on)
    device.steps, device.break_at = 0, 12  # in the third epoch
    seen: list[int] = []
    done: list[int] = []
    (found,) = Executor(setup, registry, done=lambda outcome: done.append(outcome.id)).run_pack(
        [job], lambda epoch, values: seen.append(epoch) or go_on(epoch, values)
    )
    assert device.refused == 1
    assert done == [0]
    assert seen == list(range(len(wanted.curve)))
    np.testing.assert_allclose(wanted.curve, found.curve, atol=0.03)


@pytest.mark.fault("memory")
def test_with_no_row_that_fits_the_trial_fails_alone_and_says_what_it_took(
    make_job: Make, setup: Setup, registry: Registry, device: Device
) -> None:
    device.rows = 0
    control = make_job(5, kind="control", component="majority")
    failed, fine = Executor(setup, registry).run_pack([make_job(0), control], go_on)
    assert failed.failure is not None
    assert failed.failure.kind == "oom"
    assert "Tried to allocate 2.00 GiB" in failed.failure.message
    assert failed.costs.peak_memory > 1 << 20
    assert failed.seconds > 0
    assert fine.state == "complete"


def test_a_batch_whose_rows_are_compared_is_not_cut(
    make_job: Make, setup: Setup, registry: Registry, device: Device
) -> None:
    device.rows = 16
    own = defaults(registry.regulariser("infonce").space(setup.task))
    params = {"regulariser": "infonce", **scoped("regulariser/infonce", own)}
    job = make_job(0, params=params)
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.failure is not None
    assert outcome.failure.kind == "oom"
    assert outcome.failure.message.endswith(
        "the batch cannot be trained in parts, as its regulariser looks at a whole batch"
    )


def test_the_second_stage_of_fine_tuning_in_parts(
    make_job: Make, setup: Setup, registry: Registry, device: Device, tmp_path: Path
) -> None:
    job = plain(make_job, 0, encoder="toy_tunable", epochs=3, params={FINETUNE: 2})
    (wanted,) = Executor(replace(setup, cache=str(tmp_path / "o")), registry).run_pack([job], go_on)
    device.tuned_rows = 8
    (found,) = Executor(setup, registry).run_pack([job], go_on)
    assert device.refused == 2
    assert (found.state, len(found.curve)) == ("complete", len(wanted.curve))
    np.testing.assert_allclose(wanted.losses, found.losses, rtol=1e-3)


@pytest.mark.fault("memory")
def test_a_prediction_that_does_not_fit_is_made_in_fewer_rows(
    make_job: Make, setup: Setup, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted,) = Executor(setup, registry).run_pack([make_job()], go_on)
    forward, tried = MultimodalModel.forward, []

    def limited(self: MultimodalModel, arrays: Any, present: Any) -> Any:
        rows = len(next(iter(present.values())))
        tried.append(rows)
        if rows > 16:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
        return forward(self, arrays, present)

    monkeypatch.setattr(MultimodalModel, "forward", limited)
    monkeypatch.setattr(form, "EVALUATION_ROWS", 64)
    (found,) = Executor(setup, registry).run_pack([make_job()], go_on)
    np.testing.assert_allclose(wanted.valid["y"], found.valid["y"], atol=1e-6)
    # what fits is found once in training, not in every epoch; and once more for the best model
    assert sum(rows > 16 for rows in tried) == 4


def test_only_a_lack_of_memory_is_tried_again_with_less() -> None:
    def work(rows: int) -> int:
        if rows > 5:
            raise MemoryError
        return -rows

    assert halving(work, 40) == (-5, 5)
    with pytest.raises(ZeroDivisionError):
        halving(lambda rows: 1 // 0, 8)
    with pytest.raises(torch.OutOfMemoryError):
        halving(lambda rows: work(rows + 100) if rows > 1 else refuse(), 8)
    assert not out_of_memory(ValueError("not enough memory"))


def refuse() -> int:
    raise torch.OutOfMemoryError("no")


GIB = 1 << 30


@pytest.mark.parametrize(
    ("before", "peak", "later", "available", "fine"),
    [
        (2, 6, 0, 10, True),
        (2, 11, 0, 10, True),  # 9 of 10: the share itself
        (2, 12, 0, 10, False),
        (2, 10, 2, 10, False),  # the best state would be too much
        (0, 0, 0, 0, True),
    ],
)
def test_a_step_leaves_a_reserve(
    before: int, peak: int, later: int, available: int, fine: bool
) -> None:
    assert SAFE == 0.9
    assert fits(before * GIB, peak * GIB, later * GIB, available * GIB) is fine


def test_a_step_on_a_device_is_measured_against_what_is_free_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 10 of 80 GiB are ours, 20 reserved; others have 40: 20 and 10 are still to be had
    gauges = {"memory_allocated": 10, "memory_reserved": 20, "max_memory_allocated": 0}
    for name in gauges:
        monkeypatch.setattr(torch.cuda, name, lambda device, name=name: gauges[name] * GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)

    def step(peak: int) -> Callable[[], None]:
        return lambda: gauges.update(max_memory_allocated=peak)

    card = torch.device("cuda")
    assert leaves_room(step(37), 0, card)
    assert not leaves_room(step(38), 0, card)
    assert not leaves_room(step(37), GIB, card)


def test_a_pack_that_leaves_no_reserve_is_refused_before_it_trains(
    make_job: Make, setup: Setup, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def probing(self: Pack, room: Room) -> None:
        with monkeypatch.context() as here:
            here.setattr("mmauto.engine.memory.leaves_room", lambda step, later, device: later < 0)
            asked.append(room.trials * room.part)
            if room.trials > 1:
                probe(self, room)

    probe, train = Pack._probe, Pack.__init__

    def init(self: Pack, *args: Any) -> None:
        train(self, *args)
        self._probe(args[-1])

    monkeypatch.setattr(Pack, "_probe", probing)
    monkeypatch.setattr(Pack, "__init__", init)
    jobs = [make_job(n, pack="p") for n in range(2)]
    outcomes = Executor(setup, registry).run_pack(jobs, go_on)
    assert asked == [64, 32, 32]
    assert [outcome.state for outcome in outcomes] == ["complete"] * 2


def new_room(folder: Path, **changes: Any) -> Room:
    return Room(Memory(folder / "rooms.json"), "shape", **{"trials": 1, "rows": 32, **changes})


def test_a_known_limit_refuses_a_pack_and_cuts_a_batch(tmp_path: Path) -> None:
    pack = new_room(tmp_path, trials=4)
    pack.check()
    assert pack.halve()
    with pytest.raises(TooLargeError, match="a step may have 64 rows here, as more were out of me"):
        pack.check()
    assert pack.limit == 64
    new_room(tmp_path, trials=2).check()
    alone = new_room(tmp_path, rows=128)
    assert alone.part == 64
    assert alone.halve()
    assert alone.part == 32
    assert new_room(tmp_path, rows=16).part == 16


def test_norms_keep_a_few_rows_and_a_whole_batch_all_of_them(tmp_path: Path) -> None:
    room = new_room(tmp_path, least=4)
    tried = [room.part]
    while room.halve():
        tried.append(room.part)
    assert tried == [32, 16, 8, 4]
    assert new_room(tmp_path, least=32).part == 32
    assert not new_room(tmp_path, least=32).halve()


def test_norms_that_rest_need_no_rows() -> None:
    class Resting(nn.Sequential):
        def train(self, mode: bool = True) -> nn.Sequential:
            return super().train(False)

    assert has_norms(nn.Sequential(nn.BatchNorm1d(2)))
    assert not has_norms(Resting(nn.BatchNorm1d(2)))
    assert not has_norms(nn.LayerNorm(2))


def test_parts_are_of_equal_size_so_that_none_has_one_row(
    make_job: Make, setup: Setup, registry: Registry, device: Device
) -> None:
    sizes: list[int] = []
    take = device.take
    device.take = lambda models, rows: sizes.append(rows) or take(models, rows)  # type: ignore[method-assign]
    device.rows = 8
    job = make_job(0, encoder="toy_trained", params={"train/batch_size": 25}, epochs=1)
    Executor(setup, registry).run_pack([job], go_on)
    assert set(sizes[2:]) <= {4, 5, 6, 7, 8, 25}
