"""SIGKILL at any moment: a search that continues ends with the trials of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mmauto
from mmauto.toml import write_toml

pytestmark = [
    pytest.mark.fault("kill"),
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups"),
]

HERE = Path(__file__).parent
TOYS = HERE.parent / "assets" / "toys"
KILLS = 5
SEEDS = range(10 if os.environ.get("MMAUTO_FAULTS") == "full" else 2)
"""Of `KILLS` random kills each; `make faults` does all of them."""

PLACES = (
    "mmauto.store.study:StudyStore.create:1:group",  # the truth is written, the study is not
    "mmauto.tuning.run:ask:5:group",
    "mmauto.store.study:StudyStore.begin:3:self",
    "mmauto.engine.train:Pack.epoch:7:group",
    "mmauto.engine.train:Pack.epoch:12:self",
    "mmauto.engine.train:Pack.epoch:19:self",
    "mmauto.engine.checkpoint:Checkpoint.keep:15:group",
    "mmauto.store.files:save_arrays:9:group",
    "mmauto.store.writer:Writer._write:11:self",
    "mmauto.tuning.confirm:Confirmation._confirm:2:group",
    "mmauto.engine.save:_write:3:group",
    "mmauto.engine.save:save_file:2:self",
    "mmauto.tuning.confirm:Confirmation._keep_best_bundle:2:group",
    "mmauto.tuning.confirm:Confirmation._keep_best_bundle:3:self",
    "mmauto.tuning.mirror:mirror:1:group",
    "mmauto.report.page:write_report:1:group",
)
"""module:function:call:whom, see ``kill/sitecustomize.py``."""


@dataclass(frozen=True)
class Lab:
    """A study file and what the search gives when nobody disturbs it."""

    file: Path
    reference: mmauto.Study
    seconds: float


def settings(data: Path, out: Path) -> dict[str, Any]:
    return {
        "data": str(data), "target": "label", "text": ["note"], "tabular": ["x", "y"],
        "trials": 12, "epochs": 9, "confirm_seeds": 2, "fusions": ["concat_mlp"],
        "encoders": ["bag_of_words"], "exclude": ["logistic", "boosting", "tabular_only"],
        # twelve steps an epoch: a rung after five of the nine epochs
        "workers": 1, "generation": 6, "space": {"train/batch_size": 16}, "probe_rows": 40,
        "finetune": "none", "name": "s", "out": str(out),
    }  # fmt: skip


def write_table(file: Path) -> Path:
    source = random.Random(0)
    lines = ["note,x,y,label"]
    for _ in range(320):
        loud, x = source.random() < 0.5, source.gauss(0, 1)
        label = ("loud" if loud else "calm") if x > 0 else "none"
        lines.append(f"a {'noise' if loud else 'silence'} today,{x},{source.random()},{label}")
    file.write_text("\n".join(lines))
    return file


def begin(file: Path, place: str = "") -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(HERE / "kill"), os.environ.get("PYTHONPATH", "")])
    log = str(file.with_suffix(".log"))
    return subprocess.Popen(
        [sys.executable, "-m", "mmauto", "search", str(file), "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "MMAUTO_KILL": place, "MMAUTO_KILL_LOG": log, "PYTHONPATH": path},
        start_new_session=True,
    )


def children(process: int) -> list[int]:
    with suppress(OSError):  # it has ended
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def finish(file: Path) -> None:
    """Continue to the end."""
    process = begin(file)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("kill")
    file = folder / "reference.toml"
    write_toml(file, settings(write_table(folder / "data.csv"), folder / "out"))
    finish(file)  # fills the cache
    again = folder / "again.toml"
    write_toml(again, settings(folder / "data.csv", folder / "again"))
    start = time.monotonic()
    finish(again)
    seconds, reference = time.monotonic() - start, mmauto.open(folder / "out" / "s")
    assert "pruned" in {trial.state for trial in reference.trials()}  # else nothing can go wrong
    return Lab(file, reference, seconds)


def fresh(lab: Lab, folder: Path) -> Path:
    file = folder / "study.toml"
    write_toml(file, settings(lab.file.parent / "data.csv", folder))
    return file


def told(study: mmauto.Study) -> list[tuple[Any, ...]]:
    return sorted(
        (t.arm, t.index, t.state, t.value, str(t.params), t.curve) for t in study.trials()
    )


def check(lab: Lab, folder: Path) -> None:
    """Nothing is lost, nothing counts twice, and every number is the undisturbed search's."""
    study = mmauto.open(folder / "s")
    assert study.state == "finished"
    assert told(study) == told(lab.reference)
    left, right = study.leaderboard(), lab.reference.leaderboard()
    for name in ("arm", "validation", "test", "test_low", "test_high"):
        assert left[name].tolist() == right[name].tolist()
    models = lab.reference.folder / "models"
    assert sorted(p.name for p in (folder / "s" / "models").iterdir()) == sorted(
        path.name for path in models.iterdir()
    )
    for name in ("report.html", "leaderboard.csv", "leaderboard.json"):
        assert (folder / "s" / name).stat().st_size
    with sqlite3.connect(folder / "s" / "study.db") as base:  # Optuna's copy
        (count,) = base.execute("select count(*) from trials").fetchone()
        (once,) = base.execute(
            "select count(*) from mmauto_trials where purpose='search'"
        ).fetchone()
    base.close()
    assert count == once
    assert not list((folder / "s").rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.split(":", 1)[1])
def test_a_kill_at_a_named_place_changes_nothing(lab: Lab, tmp_path: Path, place: str) -> None:
    file = fresh(lab, tmp_path)
    begin(file, place).communicate(timeout=240)
    assert file.with_suffix(".log").read_text().split("\n")[0] == place
    finish(file)
    check(lab, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_kills_at_random_moments_change_nothing(
    lab: Lab, tmp_path: Path, record_property: Callable[[str, object], None], seed: int
) -> None:
    source, killed, number = random.Random(seed), 0, 0
    while killed < KILLS:
        folder = tmp_path / str(number)
        folder.mkdir()
        file, number = fresh(lab, folder), number + 1
        for _ in range(6):  # so that a study also gets to its end
            process = begin(file)
            try:
                process.communicate(timeout=source.uniform(0.3, 1.2) * lab.seconds)
            except subprocess.TimeoutExpired:
                whom = source.choice(("all", "search", "executor"))
                if whom == "all":
                    os.killpg(process.pid, signal.SIGKILL)
                else:  # without its search an executor finds out by itself; the search goes on
                    executors = children(process.pid) if whom == "executor" else []
                    os.kill([*executors, process.pid][0], signal.SIGKILL)
                killed += 1
            process.communicate()
            if process.returncode == 0:
                break
        finish(file)
        check(lab, folder)
    record_property("injected", killed)
