"""The leaderboard's files hold what the terminal and the report show, and nothing that runs."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmauto_sections import mmauto_sections
from rich.console import Console

from mmauto.answers.compare import leaderboard_rows
from mmauto.cli.display import leaderboard_table
from mmauto.report.export import (
    FORMATS,
    as_csv,
    as_json,
    as_latex,
    as_markdown,
    finite,
    write_leaderboard,
)
from mmauto.report.page import render_page
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
        "rows": [
            {key: finite(value) for key, value in row.items()}
            for row in leaderboard_rows(COMPARISON)
        ],
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
                assert float(cells[key]) == pytest.approx(value, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("name", ["=1+1", "+1+1", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_that_looks_like_a_formula_is_inert_in_csv(name: str, tmp_path: Path) -> None:
    write_leaderboard(named(name), tmp_path)

    assert read_csv(tmp_path)[0]["arm"] == f"'{name}"
    assert read_json(tmp_path)["rows"][0]["arm"] == name


@pytest.mark.parametrize(
    "name", ['a, "quoted" arm', "two\nlines", "Bild – größer", "a=b", "-1", "+2.5", "-1e3"]
)
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


# ------------------------------------------------------------------------------ other formats

Table = dict[str, list[float]]


def figures_of(lines: Iterable[Sequence[str]]) -> Table:
    """Arm -> its validation, test, interval, gain and interval, from the cells of a line."""
    found = {}
    for name, *cells in lines:
        numbers = re.findall(r"[-+]?\d+\.\d+", " ".join(cells).replace("–", ""))
        arm = name.removesuffix("★").strip()
        found[arm] = [float(n) for n in numbers[: 4 if arm == COMPARISON.reference else 7]]
    return found


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Table:
    keys = ("validation", "test", "test_low", "test_high", "difference", "difference_low",
            "difference_high")  # fmt: skip
    return {
        row["arm"]: [round(float(row[key]), 3) for key in keys if row[key] not in (None, "")]
        for row in rows
    }


def from_markdown(text: str) -> Table:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return figures_of([cell.replace("\\", "") for cell in line] for line in lines[1:])


def from_latex(text: str) -> Table:
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    lines = [line.removesuffix(r" \\").split(" & ") for line in body.strip().splitlines()]
    return figures_of([cell.replace("\\", "") for cell in line] for line in lines)


def from_terminal() -> Table:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(leaderboard_table(fake_study(0), 200))
    lines = [re.split(r"\s{2,}", line.strip()) for line in console.export_text().splitlines()]
    return figures_of(line for line in lines if line[0] in {a.name for a in fake_study(0).arms})


def from_page() -> Table:
    sections = [section for section in mmauto_sections() if section.name == "leaderboard"]
    (body, *_) = re.findall(r"<tbody>(.*?)</tbody>", render_page(fake_study(0), sections), re.S)
    lines = [re.findall(r"<td.*?>(.*?)</td>", row, re.S) for row in body.split("</tr>")]
    return figures_of([re.sub(r"<.*?>", " ", cell) for cell in line] for line in lines if line)


def test_every_format_shows_the_same_numbers() -> None:
    wanted = from_rows(leaderboard_rows(COMPARISON))
    assert len(wanted) == 8
    assert any(numbers[4:] and numbers[4] < 0 for numbers in wanted.values())
    assert from_rows(csv.DictReader(io.StringIO(as_csv(COMPARISON)))) == wanted
    assert from_rows(json.loads(as_json(COMPARISON))["rows"]) == wanted
    assert from_markdown(as_markdown(COMPARISON)) == wanted
    assert from_latex(as_latex(COMPARISON)) == wanted
    assert from_terminal() == wanted
    assert from_page() == wanted


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_a_narrow_terminal_cuts_long_names_in_the_middle_and_never_a_figure(width: int) -> None:
    study = fake_study(0)
    names = {arm.name: f"a_fusion_with_a_long_name_{arm.name}" for arm in study.arms}
    found = study.comparison
    lines = [replace(s, arm=replace(s.arm, name=names[s.arm.name])) for s in found.standings]
    study = replace(study, comparison=replace(found, standings=tuple(lines)))
    text = io.StringIO()
    Console(file=text, width=width).print(leaderboard_table(study, width))
    told = text.getvalue().splitlines()
    assert max(map(len, told)) <= width
    for line in lines:
        (row,) = (row for row in told if f" {line.validation:.3f} " in row)
        assert "…" in row
        assert line.arm.name[-3:] in row
        assert f"{line.test.value:.3f} [{line.test.low:.3f}, {line.test.high:.3f}]" in row
        gain = line.difference
        if gain and width > 60:
            assert f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" in row


@pytest.mark.parametrize("make", [as_markdown, as_json, as_latex])
def test_the_verdict_stands_beside_the_table(make: Callable[[Comparison], str]) -> None:
    said = make(COMPARISON).replace("\\_", "_")
    for sentence in COMPARISON.verdict:
        assert sentence in said


def test_a_p_value_without_correction_stands_in_brackets() -> None:
    assert "| 0.0421 |" in as_markdown(with_first(p=0.01, p_holm=0.04211))
    assert "| (0.0100) |" in as_markdown(with_first(p=0.01))


def test_a_name_cannot_leave_its_cell_in_markdown() -> None:
    hostile = "a | b <script>\n# [x](javascript:y) `z` *w* &amp; $1$"
    (line,) = [one for one in as_markdown(named(hostile)).splitlines() if "script" in one]
    assert line.startswith(
        r"| a \| b \<script\> \# \[x\](javascript:y) \`z\` \*w\* \&amp; \$1\$ | "
    )


def test_a_name_is_nothing_but_text_in_latex() -> None:
    hostile = '[1]* 50 % & $x$ #_{}~^\\ <b> | "q"\n\\input{x}'
    text = as_latex(named(hostile))
    (line,) = [one for one in text.splitlines() if "input" in one and "&" in one]
    assert line.startswith(
        r"{[}1{]}{*} 50 \% \& \$x\$ \#\_\{\}\textasciitilde{}\textasciicircum{}"
        r"\textbackslash{} \textless{}b\textgreater{} \textbar{} ''q'' \textbackslash{}input\{x\} "
    )


def test_a_verdict_stays_in_its_comment_in_latex() -> None:
    text = as_latex(replace(COMPARISON, verdict=("one\n\\input{x}",)))
    assert text.startswith("% one \\input{x}\n\\begin{table}")


@pytest.mark.parametrize("kind", ["md", "json", "csv", "latex"])
def test_a_study_without_a_result_has_every_format(kind: str) -> None:
    text = FORMATS[kind](empty_study(0).comparison)
    assert ("Nothing" in text or "No arm" in text) == (kind != "csv")
