"""The page and the file that a benchmark leaves."""

from __future__ import annotations

import json
from pathlib import Path

from mmauto.bench.machine import Machine, Rate
from mmauto.bench.row import Grid, Row
from mmauto.bench.table import markdown, write

MACHINE = Machine(
    "Some CPU", 2, 8 * 2**30, 0.2, "Linux", "2.13", "cpu",
    (Rate("cpu", "fp32", 1, 60.0), Rate("cpu", "fp32", 2, 115.0)),
)  # fmt: skip
ROW = Row(
    "warm", "ours against a loop", 2.0, 1500.0, "s", 750.0, ">= 10", "EXTRAPOLATED from one trial.",
    {"ours": [1.9, 2.0, 2.4]}, {"peak": "1 GiB"},
)  # fmt: skip
GRID = Grid("growth", "what grows", ("samples", "ms"), [("500", "3"), ("2000", "2")], "One run.")


def test_the_page_names_the_machine_the_ratio_and_how_it_was_measured() -> None:
    page = markdown(MACHINE, [ROW, GRID], quick=False)
    assert "Some CPU, 2 core(s) usable, 8 GiB" in page
    assert "matrix products, cpu, fp32, 2 thread(s): 115 GFLOP/s" in page
    assert "| `warm` | 2 s | 1,500 s | **750** | >= 10 |" in page
    assert "every run, ours: 1.9, 2, 2.4" in page
    assert "EXTRAPOLATED from one trial." in page
    assert "| 2000 | 2 |" in page
    assert "Quick run" not in page


def test_a_quick_run_and_a_busy_machine_are_said_to_be_so() -> None:
    busy = Machine(**{**MACHINE.__dict__, "load": 3.0})
    page = markdown(busy, [GRID], quick=True)
    assert "say nothing about speed" in page
    assert "someone else was busy" in page
    assert "goal on 2 cores" not in page


def test_the_files_hold_the_same_figures(tmp_path: Path) -> None:
    page, data = write(tmp_path / "bench", MACHINE, [ROW, GRID], quick=True)
    assert page.read_text(encoding="utf-8") == markdown(MACHINE, [ROW, GRID], quick=True)
    found = json.loads(data.read_text(encoding="utf-8"))
    assert found["quick"] is True
    assert found["machine"]["rates"][1]["gflops"] == 115.0
    assert [row["name"] for row in found["rows"]] == ["warm", "growth"]
    assert found["rows"][0]["runs"]["ours"] == [1.9, 2.0, 2.4]
