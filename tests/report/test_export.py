"""The leaderboard's files hold what the terminal and the report show, and nothing that runs."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmauto.answers.compare import leaderboard_rows
from mmauto.report.export import write_leaderboard
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import Comparison, Interval

COMPARISON = fake_study(0).comparison


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refuse(constant: str) -> None:
    raise AssertionError(f"JSON has no {constant}")


def read_json(folder: Path) -> dict[str, Any]:
    """Strictly: a bare NaN, which Python would take, is refused."""
    text = (folder / "leaderboard.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def with_first(**changes: Any) -> Comparison:
    first, *rest = COMPARISON.standings
    return replace(COMPARISON, standings=(replace(first, **changes), *rest))


def named(name: str) -> Comparison:
    return with_first(arm=replace(COMPARISON.standings[0].arm, name=name))


def test_json_holds_the_rows_and_what_they_are_about(tmp_path: Path) -> None:
    write_leaderboard(COMPARISON, tmp_path)

    assert read_json(tmp_path) == {
        "target": "diagnosis",
        "metric": "balanced_accuracy",
        "maximise": True,
        "winner": COMPARISON.winner,
        "reference": COMPARISON.reference,
        "verdict": list(COMPARISON.verdict),
        "rows": leaderboard_rows(COMPARISON),
    }


def test_csv_holds_the_same_rows_to_the_last_digit(tmp_path: Path) -> None:
    write_leaderboard(COMPARISON, tmp_path)

    found, rows = read_csv(tmp_path), leaderboard_rows(COMPARISON)

    assert [list(row) for row in found] == [list(row) for row in rows]
    for cells, row in zip(found, rows, strict=True):
        for key, value in row.items():
            if value is None:
                assert cells[key] == ""
            elif isinstance(value, str):
                assert cells[key] == value
            else:
                assert float(cells[key]) == value


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_that_looks_like_a_formula_is_inert_in_csv(name: str, tmp_path: Path) -> None:
    write_leaderboard(named(name), tmp_path)

    assert read_csv(tmp_path)[0]["arm"] == f"'{name}"
    assert read_json(tmp_path)["rows"][0]["arm"] == name


@pytest.mark.parametrize("name", ['a, "quoted" arm', "two\nlines", "Bild – größer", "a=b"])
def test_other_names_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    write_leaderboard(named(name), tmp_path)

    assert read_csv(tmp_path)[0]["arm"] == name
    assert read_json(tmp_path)["rows"][0]["arm"] == name


def test_a_negative_number_stays_a_number_in_csv(tmp_path: Path) -> None:
    write_leaderboard(with_first(difference=Interval(-0.25, -0.5, 0.125)), tmp_path)

    assert read_csv(tmp_path)[0]["difference"] == "-0.25"


def test_an_undefined_number_is_null_in_json(tmp_path: Path) -> None:
    write_leaderboard(with_first(test=Interval(math.nan, -math.inf, math.inf)), tmp_path)

    row = read_json(tmp_path)["rows"][0]
    assert (row["test"], row["test_low"], row["test_high"]) == (None, None, None)
    assert math.isnan(float(read_csv(tmp_path)[0]["test"]))


def test_a_study_without_a_result_still_gives_both_files(tmp_path: Path) -> None:
    comparison = empty_study(0).comparison

    write_leaderboard(comparison, tmp_path)

    assert (tmp_path / "leaderboard.csv").read_text(encoding="utf-8") == ""
    assert read_json(tmp_path)["rows"] == []
    assert read_json(tmp_path)["winner"] is None


def test_writing_again_replaces_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_leaderboard(COMPARISON, tmp_path)
    write_leaderboard(replace(COMPARISON, standings=COMPARISON.standings[:2]), tmp_path)

    assert len(read_csv(tmp_path)) == len(read_json(tmp_path)["rows"]) == 2
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["leaderboard.csv", "leaderboard.json"]
