"""What each step brings: lines of medians, by the engine's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmauto.bench.row import FULL, QUICK, Bench
from mmauto.bench.steps import COLUMNS, REPEATS, compared
from mmauto.bench.steps_search import asking, storing
from mmauto.bench.steps_training import optimisers


def bench(folder: Path, sizes: object = QUICK) -> Bench:
    return Bench(folder, "cpu", 1, None, sizes)  # type: ignore[arg-type]


def test_a_line_holds_medians_of_runs_in_turn_after_one_that_warms_up(tmp_path: Path) -> None:
    turns: list[str] = []
    times = {"ours": iter([99.0, 1, 2, 2, 2, 9]), "theirs": iter([99.0, 3, 5, 5, 5, 90])}

    def one(name: str) -> float:
        turns.append(name)
        return next(times[name])

    line = compared(
        bench(tmp_path, FULL), "a step", "a thing", lambda: one("ours"), lambda: one("theirs")
    )
    assert line == ["a step", "5 ms", "2 ms", "**2.50**", "a thing"]
    assert turns == ["ours", "theirs"] + ["theirs", "ours"] * REPEATS


@pytest.mark.parametrize("step", [asking, storing, optimisers])
def test_a_step_is_measured_without_and_with_it(step, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for line in step(bench(tmp_path)):
        assert len(line) == len(COLUMNS)
        assert float(line[3].strip("*")) > 0
