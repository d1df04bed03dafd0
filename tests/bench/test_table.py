"""The page and the file that a benchmark leaves, and how new rows join those of before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmauto.bench.machine import Machine, Rate
from mmauto.bench.results import Measured, merged, read, write
from mmauto.bench.row import Grid, Row
from mmauto.bench.table import markdown
from mmauto.errors import MmautoError

MACHINE = Machine(
    "Some CPU", 2, 8 * 2**30, "Linux", "2.13", "cpu",
    (Rate("cpu", "fp32", 1, 60.0), Rate("cpu", "fp32", 2, 115.0)),
)  # fmt: skip
GPU = replace(MACHINE, device="Some GPU", rates=(Rate("cuda", "bf16", 0, 7e5),))
ROW = Row(
    "warm", "ours against a loop", 2.0, 1500.0, "s", 750.0, ">= 10", "EXTRAPOLATED from one trial.",
    {"ours": [1.9, 2.0, 2.4]}, {"peak": "1 GiB"},
)  # fmt: skip
GRID = Grid("growth", "what grows", ["samples", "ms"], [["500", "3"], ["2000", "2"]], "One run.")


def measured(row: Row | Grid, machine: Machine = MACHINE, load: float = 0.1) -> Measured:
    return Measured(row, machine, load, "2026-01-31", False)


def test_the_page_names_the_machine_the_ratio_and_how_it_was_measured() -> None:
    page = markdown([measured(ROW), measured(GRID)])
    assert page.count("Some CPU, 2 core(s) usable, 8 GiB") == 1
    assert "matrix products, cpu, fp32, 2 thread(s): 115 GFLOP/s" in page
    assert "| `warm` | 2 s | 1,500 s | **750** | >= 10 |" in page
    assert "every run, ours: 1.9, 2, 2.4" in page
    assert "EXTRAPOLATED from one trial." in page
    assert "| 2000 | 2 |" in page
    assert page.count("*Measured on 2026-01-31.*") == 2
    assert "Quick run" not in page
    assert "achine 1" not in page


def test_a_quick_run_and_a_busy_machine_are_said_to_be_so_beside_their_rows() -> None:
    quick = replace(measured(ROW), quick=True)
    page = markdown([quick, measured(GRID, load=1.6)])
    assert "say nothing about speed" in page
    assert "*Measured on 2026-01-31, quick run.*" in page
    assert "*Measured on 2026-01-31; something else kept 1.6 processors busy" in page
    assert "goal on 2 cores" not in markdown([measured(GRID)])


def test_rows_of_two_machines_say_which() -> None:
    page = markdown([measured(ROW), measured(replace(ROW, ours=1.0), GPU), measured(GRID)])
    assert page.index("**Machine 1**") < page.index("device: cpu") < page.index("**Machine 2**")
    assert "| `warm`, machine 1 | 2 s |" in page
    assert "| `warm`, machine 2 | 1 s |" in page
    assert "## `growth`, machine 1" in page
    assert "*Measured on 2026-01-31, machine 2.*" in page


def test_rates_of_one_machine_are_those_of_the_last_day() -> None:
    later = replace(MACHINE, rates=(Rate("cpu", "fp32", 1, 61.0),))
    page = markdown([measured(ROW), replace(measured(GRID, later), day="2026-02-01")])
    assert "61 GFLOP/s" in page
    assert "60 GFLOP/s" not in page


def test_what_is_measured_anew_takes_its_place_and_all_else_stays() -> None:
    before = [measured(ROW), measured(GRID), measured(replace(GRID, name="gone"))]
    fresh = [measured(replace(ROW, ours=3.0)), measured(replace(ROW, ours=1.0), GPU)]
    found = merged(before, fresh, ["growth", "warm", "steps"])
    assert [one.key for one in found] == [("growth", "cpu"), ("warm", "cpu"), ("warm", "cuda")]
    assert [one.row.ours for one in found if isinstance(one.row, Row)] == [3.0, 1.0]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "bench" / "results.json"
    assert read(file) == []
    rows = [measured(ROW, GPU, 2.0), replace(measured(GRID), quick=True)]
    write(file, rows)
    assert read(file) == rows


@pytest.mark.parametrize("text", ["{", "{}", '{"rows": [{"name": "warm"}]}'])
def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(MmautoError, match=r"results\.json holds none that can be read .* --out"):
        read(file)
