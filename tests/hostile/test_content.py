"""Cells, pictures and texts that are made to hurt: bounded while read, inert where shown."""

from __future__ import annotations

import csv
import io
import json
import struct
import subprocess
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from PIL import Image

from mmauto.cli.main import in_line, main
from mmauto.cli.predict import command as predict_command
from mmauto.config import from_mapping
from mmauto.data import formats_excel
from mmauto.data.cells import clean, numbers
from mmauto.data.formats import open_table
from mmauto.data.image_columns import ImageFiles
from mmauto.data.looks import look_at, looks_of
from mmauto.data.table import read_table
from mmauto.errors import ConfigError, DataError
from mmauto.report.export import inert
from mmauto.toml import read_toml

pytestmark = pytest.mark.fault("malice")

MEGABYTES = 10**6


@pytest.fixture
def quick() -> Any:
    """Whatever is inside takes no more than 20 s of work."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 20


@pytest.fixture
def bounded(quick: None) -> Any:
    """Nor does it take more than 600 MB of memory."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600 * MEGABYTES


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 30_000, 2**31 - 1])
def test_an_image_bomb_is_missing_with_its_reason(bounded: Any, side: int) -> None:
    look = look_at(png(side, side))
    assert look.thumb is None
    assert look.wrong.startswith("huge: ") or look.wrong == "cannot be decoded"


def test_a_huge_file_is_not_read(bounded: Any, tmp_path: Path) -> None:
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(10**12)  # a hole: it takes no room on disk
    (look,) = looks_of(ImageFiles([tmp_path / "x.png"]), "test")
    assert look is not None
    assert look.wrong == "huge: 1,000,000,000,000 bytes"


def test_no_program_is_started_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow gives PostScript to Ghostscript, whatever the file's suffix says
    def started(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    monkeypatch.setattr(subprocess, "check_call", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "EPS")
    assert look_at(out.getvalue()).wrong == "cannot be decoded"


def test_a_number_of_a_million_digits_takes_no_time(quick: None) -> None:
    found = numbers(["1" * 10**6 + "x", "1" * 10**6 + ".", "7"])
    assert np.isnan(found[0])
    assert found[2] == 7


def rows_with(folder: Path, cell: str) -> Path:
    lines = [
        {"note": cell if row == 3 else f"a {('calm', 'loud')[row % 2]} day of {row} birds",
         "age": row, "label": ("no", "yes")[row // 2 % 2]}
        for row in range(24)
    ]  # fmt: skip
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "data.jsonl"


@pytest.mark.parametrize("unit", ["word ", "1", "\u202e"])
def test_ten_megabytes_in_a_cell_are_a_text(quick: None, tmp_path: Path, unit: str) -> None:
    cell = unit * (10 * MEGABYTES // len(unit))
    data = read_table(rows_with(tmp_path, cell), text="note", tabular="age")
    assert len(data.ids) == 24


@pytest.mark.parametrize("odd", ["\ud800", "\udcff x", "a\udfff"])
def test_half_a_character_becomes_the_sign_for_it(tmp_path: Path, odd: str) -> None:
    data = read_table(rows_with(tmp_path, f"text {odd}"), text="note", tabular="age")
    found = data.columns["text"][3]
    assert "\N{REPLACEMENT CHARACTER}" in found
    found.encode()
    assert clean("\U0001f600") == "\U0001f600"


def test_a_column_named_by_half_a_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"a\\ud800": 1, "label": "a"}\n')
    with pytest.raises(DataError, match=r"the name of its column 'a\\ud800' holds half"):
        open_table(tmp_path / "data.jsonl")


def wide_csv(path: Path) -> None:
    path.write_text(",".join(f"c{n}" for n in range(20_000)) + "\n" + "1\n" * 20_000)


def wide_jsonl(path: Path) -> None:
    path.write_text("".join(f'{{"c{n}": 1}}\n' for n in range(20_000)))


def far_cell(path: Path) -> None:
    """A workbook whose rows each hold one cell, as far to the right as there is a name for."""
    book = openpyxl.Workbook()
    book.active["A1"] = "x"
    book.save(path)
    rows = "".join(f'<row r="{n}"><c r="ZZZ{n}"><v>1</v></c></row>' for n in range(1, 6000))
    _with_sheet(path, rows)


def endless_rows(path: Path) -> None:
    """A workbook whose second row claims to be number 10^15."""
    book = openpyxl.Workbook()
    book.active["A1"] = "x"
    book.save(path)
    last = 10**15
    cell = '<row r="{0}"><c r="A{1}"><v>1</v></c></row>'
    _with_sheet(path, cell.format(1, 1) + cell.format(last, 2))


def _with_sheet(path: Path, rows: str) -> None:
    name = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as old:
        parts = {part: old.read(part) for part in old.namelist()}
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'
    parts[name] = sheet.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part, content in parts.items():
            new.writestr(part, content)


def long_header(path: Path) -> None:
    """Names in a number at which comparing each with each takes minutes."""
    path.write_text(",".join(f"c{n}" for n in range(150_000)) + ",c0\n")


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("x.csv", wide_csv, "20,001 rows and 20,000 columns with only"),
        ("x.jsonl", wide_jsonl, "20,000 rows and 20,000 columns with only 20,000 cells filled"),
        pytest.param("x.xlsx", far_cell, "cells filled", marks=pytest.mark.slow),
        ("x.csv", long_header, "two columns named 'c0'"),
    ],
)
def test_a_small_file_that_stands_for_a_huge_table(
    bounded: Any, tmp_path: Path, name: str, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 3 * MEGABYTES
    with pytest.raises(DataError, match=f"{name} is not a readable table .*{said}"):
        open_table(tmp_path / name)


def test_a_workbook_is_not_unpacked_without_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats_excel, "MOST_BYTES", MEGABYTES)
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("xl/x.xml", bytes(2 * MEGABYTES))
    with pytest.raises(DataError, match=r"x\.xlsx is not .* \(2,000,000 bytes unpacked, 1,000,000"):
        open_table(tmp_path / "x.xlsx")


@pytest.mark.slow
def test_a_row_beyond_the_last_one_of_a_sheet_is_not_counted_to(tmp_path: Path) -> None:
    endless_rows(tmp_path / "x.xlsx")
    with pytest.raises(DataError, match="needs at least one row"):
        open_table(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    "content",
    [
        "a = " + "[" * 5000, "a = " + "9" * 5000, "a = " + "{b = " * 3000,
        "a = 1\0", 'a = "\\ud800"',
    ],
)  # fmt: skip
def test_a_study_file_that_toml_s_reader_stumbles_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"a study file must be TOML, .*study\.toml is not"):
        read_toml(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"time": 10**400}, "time must be a number of less than 300 digits"),
        ({"max_bad": -(10**400)}, "max_bad must be a number of less than 300 digits"),
        ({"space": {"a": {"low": 1, "high": 10**400}}}, "space.a must be a value"),
        ({"space": {"a": {"low": 1, "high": 10**400, "log": True}}}, "space.a must be a value"),
    ],
)
def test_numbers_that_no_float_holds(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_mapping({"task": "medical", **settings}, "study.toml")


def test_an_error_moves_no_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["show", "a\x1b[2J\nb"])
    printed = capsys.readouterr().err
    assert "a study is a folder with a study.db" in printed
    assert "\x1b" not in printed
    assert printed.count("\n") == 1
    assert in_line("a\u202eb \x00c é漢") == "a b  c é漢"


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@x", "\tx", "\rx"])
def test_text_that_looks_like_a_formula_gets_a_quote(cell: str) -> None:
    assert inert(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [-1.5, -3, None, True, "a=b", ""])
def test_numbers_and_other_texts_stay_as_they_are(cell: Any) -> None:
    assert inert(cell) is cell


def test_predictions_and_their_head_hold_no_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmauto.cli import predict
    from mmauto.values import TargetSpec

    class Rows:
        ids = np.array(["=cmd", "r2"], dtype=object)
        notes = ("a\x1b[2Jnote",)

    class Fake:
        specs = {"=y": TargetSpec("=y", "binary", ("@a", "-b"))}
        thresholds: dict[str, Any] = {}
        notes: tuple[str, ...] = ()
        weights = [1.0]
        bundles = [type("B", (), {"folder": tmp_path})()]

        def read(self, *_: object) -> Rows:
            return Rows()

        def stream(self, rows: Rows) -> Any:
            yield slice(0, 2), {"=y": np.array([[0.9], [0.1]])}

    monkeypatch.setattr(predict, "load", lambda *_: Fake())
    out = tmp_path / "out.csv"
    predict_command.main(["s", "t.csv", "-o", str(out)], standalone_mode=False)
    with out.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert {"'=y", "'=y confidence", "'=y: @a", "'=cmd", "'@a", "'-b"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
