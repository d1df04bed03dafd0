"""The loops that we are compared with do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

from mmauto.bench.baselines import in_memory, parts, tutorial
from mmauto.bench.data import make_table


def test_the_split_is_ours() -> None:
    train, valid = parts(2000)
    assert (len(train), len(valid)) == (1400, 300)
    assert not set(train) & set(valid)


def trials(storage: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{storage}"
    found = [
        optuna.load_study(study_name=name, storage=url).trials
        for name in optuna.get_all_study_names(url)
    ]
    return [trial for study in found for trial in study]


@pytest.mark.slow
def test_the_tutorials_loop_trains_and_reports_every_epoch(tmp_path: Path) -> None:
    table = make_table(tmp_path / "data", 40, (40, 48))
    found = tutorial(str(table), str(tmp_path / "o.db"), 1, 2, "cpu", workers=0, side=32)
    assert len(found["epochs"]) == 2
    assert min(found["epochs"]) > 0
    assert [len(trial.intermediate_values) for trial in trials(tmp_path / "o.db")] == [2]


def test_the_loop_in_memory_learns_and_reports_every_epoch(tmp_path: Path) -> None:
    source = np.random.default_rng(0)
    label = source.integers(2, size=1000)
    image = source.normal(size=(1000, 8)).astype(np.float32)
    image[:, 0] += 6 * label
    text = source.normal(size=(1000, 4)).astype(np.float32)
    np.savez(tmp_path / "f.npz", image=image, text=text, label=label)
    settings = {
        "features": str(tmp_path / "f.npz"), "storage": str(tmp_path / "o.db"), "trials": 3,
        "epochs": 10, "device": "cpu",
    }  # fmt: skip
    found = in_memory(**settings)
    done = trials(tmp_path / "o.db")
    assert found["seconds"] > 0
    assert [len(trial.intermediate_values) for trial in done] == [10, 10, 10]
    assert max(trial.value or 0 for trial in done) > 0.9


@pytest.mark.slow
def test_a_loop_runs_as_a_command(tmp_path: Path) -> None:
    arrays = {"image": np.zeros((20, 2), np.float32), "text": np.zeros((20, 2), np.float32)}
    np.savez(tmp_path / "f.npz", **arrays, label=np.arange(20) % 2)
    settings = {
        "features": str(tmp_path / "f.npz"), "storage": str(tmp_path / "o.db"), "trials": 1,
        "epochs": 1, "device": "cpu",
    }  # fmt: skip
    command = [sys.executable, "-m", "mmauto.bench.baselines", "in_memory", json.dumps(settings)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1])["seconds"] > 0
