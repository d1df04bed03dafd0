"""What limits many workers: measured unit costs, and the sums on paper."""

from __future__ import annotations

from pathlib import Path

from mmauto.bench.row import QUICK, Bench
from mmauto.bench.rows_scale import Costs, _line, scale


def test_the_table_follows_from_the_costs() -> None:
    costs = Costs(ask=15.0, store=4.0, talk=1.0)  # 50 trials a second at most
    assert _line(10, costs) == ["10", "1", "2%", "workers", "27.8"]
    assert _line(100, costs) == ["100", "10", "20%", "workers", "2.8"]
    assert _line(1000, costs) == ["1,000", "50", "100%", "asking", "0.6"]


def test_the_costs_are_measured(tmp_path: Path) -> None:
    said: list[str] = []
    bench = Bench(tmp_path, "cpu", 1, None, QUICK, said.append)  # type: ignore[arg-type]
    found = scale(bench)
    assert [row[0] for row in found.rows] == ["10", "100", "1,000"]
    assert said == ["scale: 200 trials", "scale: 400 trials"]
    assert "400 are read in" in found.note
