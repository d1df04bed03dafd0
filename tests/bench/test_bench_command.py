"""``mmauto bench``: its rows by name, and that all of them run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmauto.bench.machine import describe
from mmauto.bench.rows import ROWS
from mmauto.cli.bench import command
from mmauto.errors import ConfigError


def test_an_unknown_row_is_named_with_the_ones_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"unknown row 'serach' \(from mmauto bench\); did you m"):
        CliRunner().invoke(command, ["serach"], catch_exceptions=False)


def test_the_machine_is_measured_with_one_thread_and_with_all() -> None:
    machine = describe("cpu")
    assert {rate.dtype for rate in machine.rates} == {"fp32", "bf16"}
    assert {rate.threads for rate in machine.rates} == {1, machine.cores}
    assert all(rate.gflops > 0 for rate in machine.rates)
    assert machine.memory > 2**28


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
