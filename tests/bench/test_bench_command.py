"""``mmauto bench``: its rows by name, and that all of them run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmauto.bench import conduct
from mmauto.bench import rows as known
from mmauto.bench.machine import Machine, describe, others_busy
from mmauto.bench.results import read
from mmauto.bench.row import Bench, Grid
from mmauto.bench.rows import ROWS
from mmauto.bench.table import markdown
from mmauto.cli.bench import command
from mmauto.errors import ConfigError, MmautoError


def test_an_unknown_row_is_named_with_the_ones_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"unknown row 'serach' \(from mmauto bench\); did you m"):
        CliRunner().invoke(command, ["serach"], catch_exceptions=False)


def test_the_machine_is_measured_with_one_thread_and_with_all() -> None:
    machine = describe("cpu")
    assert {rate.dtype for rate in machine.rates} == {"fp32", "bf16"}
    assert {rate.threads for rate in machine.rates} == {1, machine.cores}
    assert all(rate.gflops > 0 for rate in machine.rates)
    assert machine.memory > 2**28


def test_what_others_do_is_seen_and_what_this_process_did_before_is_not() -> None:
    idle = others_busy(0.2)
    assert idle >= 0
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.3)
        busy = others_busy(0.5)
        other.kill()
    assert busy > 0.5


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rows that measure nothing but their turn, on a machine that is described at once."""
    turns: list[str] = []

    def row(name: str) -> Callable[[Bench], Grid]:
        def measure(bench: Bench) -> Grid:
            turns.append(name)
            return Grid(name, name, ["turn"], [[str(len(turns))]], "")

        return measure

    rows = {name: row(name) for name in ("one", "two")}
    machine = Machine("a", 1, 1, "b", "c", "cpu", ())
    for module in (known, conduct):
        monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(conduct, "describe", lambda device: machine)
    monkeypatch.setattr(conduct, "others_busy", lambda seconds: 0.0)
    return turns


def run(*arguments: str) -> str:
    given = [*arguments, "--device", "cpu"]
    return CliRunner().invoke(command, given, catch_exceptions=False).output


def test_a_row_measured_alone_leaves_the_others_as_they_are(
    told: list[str], tmp_path: Path
) -> None:
    run("--out", str(tmp_path))
    run("one", "--out", str(tmp_path))
    assert told == ["one", "two", "one"]
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["name"], row["rows"]) for row in found] == [("one", [["3"]]), ("two", [["2"]])]
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert page.index("## `one`") < page.index("## `two`")


@pytest.mark.usefixtures("told")
def test_a_quick_run_is_printed_and_kept_only_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "quick run" in run("--quick")
    assert list(tmp_path.iterdir()) == []
    run("one")
    assert (tmp_path / "studies" / "bench" / "results.md").exists()


def test_results_that_cannot_be_joined_are_refused_before_anything_is_measured(
    told: list[str], tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(MmautoError, match="holds none that can be read"):
        run("--out", str(tmp_path))
    assert told == []


def test_the_committed_results_can_be_read_and_are_those_of_the_page() -> None:
    folder = Path(__file__).parents[2] / "studies" / "bench"
    found = read(folder / "results.json")
    assert found
    assert not any(row.quick for row in found)
    assert (folder / "results.md").read_text(encoding="utf-8") == markdown(found)


@pytest.mark.slow
def test_every_row_runs(tmp_path: Path) -> None:
    flags = ["--quick", "--device", "cpu", "--out", str(tmp_path)]
    ran = CliRunner().invoke(command, flags, catch_exceptions=False)
    assert ran.exit_code == 0
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in found["rows"]] == list(ROWS)
    for row in found["rows"]:
        if "ratio" in row:
            assert row["ours"] > 0
            assert row["baseline"] > 0
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "Quick run" in page
    assert "EXTRAPOLATED" in page
