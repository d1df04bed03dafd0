"""A search runs for hours: what trials leave behind must not add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mmauto.engine.child_process import ChildProcess
from mmauto.engine.features import Features, keepable, nbytes
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.process import ProcessExecutor
from mmauto.registry import Registry

Make = Callable[..., TrialJob]

TRIALS, FIRST = 300, 20


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


def resident(process: int) -> int:
    """Bytes of a process's own memory and of its share of what it maps."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells the memory")
def test_many_short_trials_end_with_the_memory_of_the_first_ones(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    """Packs of four, of changing shapes, through both encoders; now and then one that fails."""
    executor = ProcessExecutor(120.0)
    executor.use(setup)
    after: list[int] = []
    try:
        for first in range(0, TRIALS, 4):
            kind = "toy_frozen" if first % 8 else "toy_trained"
            shape = {"fusion/width": (16, 32, 64)[first // 4 % 3], "train/lr": 1e-3 * (1 + first)}
            jobs = [
                make_job(first + place, encoder=kind, epochs=2, pack="p", params=shape)
                for place in range(4)
            ]
            if first % 40 == 0:
                jobs[3] = make_job(first + 3, component="faulty", params={"fusion/how": "raise"})
            executor.run_pack(jobs, go_on)
            assert isinstance(executor.child, ChildProcess)
            after.append(resident(executor.child.process.pid))
    finally:
        executor.close()
    assert after[-1] < 1.2 * after[FIRST // 4 - 1]


def test_features_that_no_recent_trial_read_are_forgotten(setup: Setup, registry: Registry) -> None:
    features = Features(setup, registry, lambda text: None)
    made = {factor: features.inputs("left", "toy_frozen", {"factor": factor}) for factor in (1, 2)}
    assert features.inputs("left", "toy_frozen", {"factor": 1}).arrays is made[1].arrays
    features.kept = 2 * nbytes(made[1].arrays)
    features.inputs("right", "toy_frozen", {"factor": 1})
    # the last ones used stay; what is read now stays whatever its size
    assert features.inputs("left", "toy_frozen", {"factor": 1}).arrays is made[1].arrays
    assert features.inputs("left", "toy_frozen", {"factor": 2}).arrays is not made[2].arrays
    features.kept = 0
    alone = features.inputs("right", "toy_frozen", {"factor": 1})
    assert features.inputs("right", "toy_frozen", {"factor": 1}).arrays is alone.arrays


def test_a_graphics_card_keeps_a_share_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Card:
        total_memory = 80 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert keepable(torch.device("cuda")) == 20 << 30
