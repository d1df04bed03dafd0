from __future__ import annotations

import datetime
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmauto.data.formats import open_table
from mmauto.errors import DataError

openpyxl = pytest.importorskip("openpyxl")


def save(path: Path, *sheets: Sequence[Sequence[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"S{number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_table(path)
    return str(caught.value)


def test_the_first_sheet_without_its_empty_margins(tmp_path: Path) -> None:
    rows = [
        [],
        [None, "n", "f", " t ", None, "b", "", None],
        [None, 3.0, 2.5, "a", None, True],
        [],
        [None, None, None, "NA", None, None],
        [None, "", None],
    ]
    table = open_table(save(tmp_path / "data.xlsx", rows))
    assert {name: table.cells(name) for name in table.values} == {
        "n": ["3", None, None],
        "f": ["2.5", None, None],
        "t": ["a", None, None],
        "Unnamed: 3": [None, None, None],
        "b": ["True", None, None],
    }
    assert table.notes == ()
    assert open_table(tmp_path).path == tmp_path / "data.xlsx"


def test_dates_become_iso_text(tmp_path: Path) -> None:
    day, moment = datetime.datetime(2024, 1, 2), datetime.datetime(2024, 1, 2, 10, 30)
    rows = [["day", "moment", "time"], [day, moment, moment.time()], [None, day, None]]
    table = open_table(save(tmp_path / "t.xlsx", rows))
    assert table.cells("day") == ["2024-01-02", None]
    assert table.cells("moment") == ["2024-01-02 10:30:00", "2024-01-02 00:00:00"]
    assert table.cells("time") == ["10:30:00", None]


def test_further_sheets_are_noted(tmp_path: Path) -> None:
    table = open_table(save(tmp_path / "t.xlsx", [["a"], [1]], [["b"], [2]]))
    assert dict(table.values) == {"a": [1]}
    assert table.notes == ("t.xlsx has 2 sheets, only the first ('S1') is read",)


def test_a_wrong_size_in_the_file_cuts_nothing_off(tmp_path: Path) -> None:
    path, odd = save(tmp_path / "t.xlsx", [["a", "b"], [1, 2]]), tmp_path / "odd.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(odd, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'ref="A1:B2"', b'ref="A1"'))
    assert dict(open_table(odd).values) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("rows", [[], [["a", "b"]]])
def test_a_sheet_without_rows(tmp_path: Path, rows: list[list[str]]) -> None:
    path = save(tmp_path / "t.xlsx", rows)
    assert refused(path) == f"a table needs at least one row, {path} has none; add rows to it"


def test_what_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_text("no")
    end = "; repair the file or save it again"
    assert refused(path) == f"{path} is not a readable table (File is not a zip file){end}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no")
    assert refused(path).startswith(f"{path} is not a readable table (")
    save(path, [["a", "a"], [1, 2]])
    assert refused(path) == f"{path} is not a readable table (it has two columns named 'a'){end}"


def test_excel_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "t.xlsx", [["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert refused(path) == (
        f"reading Excel ({path}) needs openpyxl, which is not installed; "
        'run: pip install "mmauto[excel]"'
    )
