"""Faults of the machine around a search: a clock that jumps, more workers than cores."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import mmauto

QUICK: dict[str, Any] = {
    "target": "label", "text": "note", "tabular": ["x"], "epochs": 2, "confirm_seeds": 2,
    "fusions": ["concat_mlp"], "encoders": ["bag_of_words"], "exclude": ["boosting", "logistic"],
    "workers": 1, "generation": 3, "probe_rows": 0, "finetune": "none", "name": "s",
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, file = random.Random(0), tmp_path_factory.mktemp("data") / "data.csv"
    lines = ["note,x,label"]
    for _ in range(120):
        loud, x = source.random() < 0.5, source.gauss(0, 1)
        lines.append(f"a {'noise' if loud else 'silence'} today,{x},{loud and x > 0}")
    file.write_text("\n".join(lines))
    return file


def told(study: mmauto.Study) -> list[tuple[Any, ...]]:
    return sorted((t.arm, t.index, t.state, t.value, str(t.params)) for t in study.trials())


@pytest.mark.slow
@pytest.mark.fault("clock")
def test_a_clock_that_jumps_changes_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the clock is up to ten days before or after the last one."""
    steady = mmauto.search(data=str(table), trials=4, out=str(tmp_path / "steady"), **QUICK)
    honest, source = time.time, random.Random(1)
    monkeypatch.setattr(time, "time", lambda: honest() + source.uniform(-1, 1) * 864_000)
    jumping = mmauto.search(
        data=str(table), trials=4, out=str(tmp_path / "jumping"), time=3600.0, **QUICK
    )
    assert jumping.state == "finished"
    assert told(jumping) == told(steady)
    assert jumping.report().stat().st_size > 100_000


@pytest.mark.slow
@pytest.mark.fault("workers")
@pytest.mark.timeout(900)
def test_sixteen_workers_share_one_database(table: Path, tmp_path: Path) -> None:
    arms = {f"copy{n}": {"fusion": "concat_mlp"} for n in range(5)}
    many = mmauto.search(
        data=str(table), trials=32, out=str(tmp_path / "many"), arms=arms,
        **{**QUICK, "workers": 16, "generation": 16},
    )  # fmt: skip
    assert many.state == "finished"
    points = Counter((t.arm, str(t.params)) for t in many.trials() if t.arm.startswith("copy"))
    assert len(points) == sum(points.values()) == 5 * 32
    assert {t.state for t in many.trials()} <= {"complete", "pruned"}
