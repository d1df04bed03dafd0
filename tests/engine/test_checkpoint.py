"""Training that was cut short goes on where it stood, and ends as if it had never been."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmauto.engine import checkpoint
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.engine.train import Pack
from mmauto.registry import Registry

Make = Callable[..., TrialJob]
EPOCHS = 8


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each epoch that is really trained."""
    found: list[int] = []
    honest: Any = Pack._validate

    def counting(self: Pack) -> None:
        found.append(len(self.slots))
        honest(self)

    monkeypatch.setattr(Pack, "_validate", counting)
    return found


def jobs_of(make_job: Make, folder: Path, **changes: Any) -> list[TrialJob]:
    rates = [{"train/lr": rate, "fusion/dropout": 0.2} for rate in (1e-3, 5e-3, 2e-3)]
    return [
        make_job(
            n, component="concat_mlp", pack="p", params=own, epochs=EPOCHS, patience=EPOCHS,
            checkpoints=str(folder), **changes,
        )
        for n, own in enumerate(rates)
    ]  # fmt: skip


def run(
    setup: Setup, registry: Registry, jobs: list[TrialJob], kill: int = -1
) -> tuple[list[Outcome], list[tuple[int, Mapping[int, float]]]]:
    """Outcomes and what was told; the second trial is pruned after the third epoch."""
    told: list[tuple[int, Mapping[int, float]]] = []

    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        told.append((epoch, dict(values)))
        if epoch == kill:
            raise Killed
        return {number: not (epoch == 2 and number == 1) for number in values}

    return list(Executor(setup, registry).run_pack(jobs, report)), told


def same(found: list[Outcome], wanted: list[Outcome], rounding: float = 0.0) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert (one.state, one.curve) == (other.state, other.curve)
        assert one.losses == pytest.approx(other.losses, rel=rounding, abs=0.0)
        assert one.best_epoch == other.best_epoch
        np.testing.assert_allclose(one.valid["y"], other.valid["y"], rtol=0, atol=rounding)


@pytest.mark.fault("kill")
@pytest.mark.parametrize("kill", [0, 2, 5, EPOCHS - 1])
def test_a_pack_goes_on_where_it_stood(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path, trained: list[int], kill: int
) -> None:
    wanted, heard = run(setup, registry, jobs_of(make_job, tmp_path / "none"))
    folder = tmp_path / "kept"
    jobs = jobs_of(make_job, folder)
    with pytest.raises(Killed):
        run(setup, registry, jobs, kill)
    # the outcome of the trial that was pruned by then is stored
    left = [job for job in jobs if not (job.id == 1 and kill > 2)]
    trained.clear()
    found, again = run(setup, registry, left)
    same(found, [wanted[job.id] for job in left])
    ids = {job.id for job in left}
    assert again == [(e, {n: v for n, v in told.items() if n in ids}) for e, told in heard]
    assert len(trained) == EPOCHS - 1 - kill
    assert not list(folder.iterdir())


def test_another_trial_trains_from_the_start(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path, trained: list[int]
) -> None:
    jobs = jobs_of(make_job, tmp_path)
    with pytest.raises(Killed):
        run(setup, registry, jobs, 4)
    for changed in (replace(jobs[0], seed=9), replace(jobs[0], epochs=EPOCHS + 1)):
        trained.clear()
        run(setup, registry, [replace(changed, pack="")])
        assert len(trained) == changed.epochs


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_a_damaged_checkpoint_costs_only_time(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path, damage: str
) -> None:
    wanted, _ = run(setup, registry, jobs_of(make_job, tmp_path / "none"))
    jobs = jobs_of(make_job, tmp_path / "kept")
    with pytest.raises(Killed):
        run(setup, registry, jobs, 2)
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage == "cut" else b"hello")
    found, _ = run(setup, registry, jobs)
    same(found, wanted)


def test_a_checkpoint_of_another_kind_of_device_costs_only_time(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    """The random stream of a GPU has another form."""
    wanted, _ = run(setup, registry, jobs_of(make_job, tmp_path / "none"))
    jobs = jobs_of(make_job, tmp_path / "kept")
    with pytest.raises(Killed):
        run(setup, registry, jobs, 4)
    (file,) = (tmp_path / "kept").iterdir()
    with safe_open(file, "pt") as saved:
        about, tensors = saved.metadata(), {n: saved.get_tensor(n) for n in saved.keys()}  # noqa: SIM118
    tensors["random/augment"] = torch.zeros(16, dtype=torch.uint8)
    save_file(tensors, file, about)
    left = [job for job in jobs if job.id != 1]
    found, _ = run(setup, registry, left)
    same(found, [wanted[job.id] for job in left], rounding=1e-5)  # a pack of two, from the start


def test_a_folder_that_cannot_be_written_costs_only_the_checkpoint(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    found, _ = run(setup, registry, jobs_of(make_job, tmp_path / "file" / "kept"))
    assert [outcome.state for outcome in found] == ["complete", "pruned", "complete"]
