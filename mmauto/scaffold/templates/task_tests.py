"""The contract of the task, and what it is for."""

from __future__ import annotations

from pathlib import Path

from mmauto.scaffold.templates.task import ScaffoldNameTask
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ScaffoldNameTask()])
def test_contract(component: ScaffoldNameTask, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


def test_simulated_rows_say_that_they_are() -> None:
    """A report must never show them as real."""
    data = ScaffoldNameTask().load(None, {"seed": 0})
    assert data.simulated
    assert set(data.columns) == {"text", "tabular"}
    assert 0.1 < (data.targets["state"].values == "stops").mean() < 0.4


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """A CSV file with the columns of the schema."""
    rows = "".join(f"{50 + i},{i % 7},{i % 3} beeps,{'ab'[i % 2]}\n" for i in range(40))
    (tmp_path / "own.csv").write_text("heat,speed,remark,state\n" + rows)
    data = ScaffoldNameTask().load(str(tmp_path / "own.csv"), {"seed": 0})
    assert len(data) == 40
    assert not data.simulated
