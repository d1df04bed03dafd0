from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from mmauto.data.formats import open_table
from mmauto.errors import DataError


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_table(path)
    return str(caught.value)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [["a", '"b; , x"', "c"], ["1", '"x, y; z"', ""]]
    path = write(tmp_path / "t.csv", "\n".join(delimiter.join(row) for row in rows) + "\n")
    table = open_table(path)
    assert table.values == {"a": ["1"], "b; , x": ["x, y; z"], "c": [""]}
    assert table.cells("c") == [None]


def test_a_byte_order_mark_and_spaces_after_delimiters_do_no_harm(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.csv", "\ufeffid, text\r\n1, “é”\r\n"))
    assert table.values == {"id": ["1"], "text": ["“é”"]}
    assert table.notes == ()


def test_quoted_line_breaks_and_short_rows(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.csv", 'a,b\n"x\ny",1\nz\n'))
    assert table.cells("a") == ["x\ny", "z"]
    assert table.cells("b") == ["1", None]


def test_the_same_table_in_every_format(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"n": 1, "f": 2.5, "t": "a", "b": True},
        {"n": None, "f": None, "t": "NA", "b": None},
    ]
    write(tmp_path / "t.csv", "n,f,t,b\n1,2.5,a,True\n,,NA,\n")
    write(tmp_path / "t.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    for suffix in ("csv", "jsonl", "parquet"):
        table = open_table(tmp_path / f"t.{suffix}")
        assert {name: table.cells(name) for name in table.values} == {
            "n": ["1", None],
            "f": ["2.5", None],
            "t": ["a", None],
            "b": ["True", None],
        }


def test_keys_that_some_lines_lack_are_missing(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.jsonl", '{"a": 1}\n{"b": ["x", "y"]}\n'))
    assert table.cells("a") == ["1", None]
    assert table.cells("b") == [None, ("x", "y")]


@pytest.mark.parametrize("name", ["data.csv", "data.jsonl"])
def test_a_folder_means_the_table_in_it(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "a\n1\n" if name.endswith("csv") else '{"a": "1"}')
    assert open_table(tmp_path).path == tmp_path / name


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.csv") == (
        f"there is no table at {tmp_path}/no.csv; give the path of a table or of its folder"
    )
    assert refused(tmp_path) == (
        "a data folder holds data.csv, data.parquet, data.jsonl or data.xlsx, a data set saved by "
        "Hugging Face's library, or at least two class folders of pictures (or .txt files), "
        f"{tmp_path} holds none of them; name the table's file itself"
    )
    assert refused(write(tmp_path / "t.ods", "x")) == (
        f"a table is a .csv, .tsv, .jsonl, .parquet or .xlsx file, {tmp_path}/t.ods is none of "
        "them; save it as one of these"
    )


@pytest.mark.parametrize(
    ("name", "text"), [("t.csv", ""), ("t.csv", "\n \n"), ("t.csv", "a,b\n"), ("t.jsonl", "\n")]
)
def test_a_table_without_rows(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path / name, text)
    assert refused(path) == f"a table needs at least one row, {path} has none; add rows to it"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.csv", b"\x89PNG\0\0", "it holds binary data where UTF-8 text is expected"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "it holds binary data"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("t.csv", "a,b\n1,2,3\n1,2,3\n", "its rows have more cells than its header"),
        ("t.csv", 'a,b\n1,"2\n', "EOF inside string"),
        ("t.csv", "a,a\n1,2\n", "it has two columns named 'a'"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2 is not JSON: Expecting value"),
        ("t.jsonl", "[" * 100_000, "line 1 is not JSON: maximum recursion depth"),
        ("t.jsonl", "[1]\n", "line 1 is not a JSON object"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: str | bytes, why: str) -> None:
    message = refused(write(tmp_path / name, content))
    assert message.startswith(f"{tmp_path}/{name} is not a readable table (")
    assert why in message
    assert message.endswith("; repair the file or save it again")


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    message = refused(write(tmp_path / "t.parquet", "no"))
    assert message.startswith(f"{tmp_path}/t.parquet is not a readable table (Parquet")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = write(tmp_path / "t.parquet", "PAR1")
    assert refused(path) == (
        f"reading Parquet ({path}) needs pyarrow, which is not installed; "
        'run: pip install "mmauto[parquet]"'
    )


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", deny)
    path = tmp_path / "t.csv"
    path.touch()
    assert refused(path) == (
        f"the table {path} cannot be read (Permission denied); check its permissions"
    )


def test_an_object_in_a_cell_is_named_with_its_column(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.jsonl", '{"a": {"b": 1}}'))
    with pytest.raises(DataError, match=re.escape(f"column 'a' of {table.path} cannot be read: ")):
        table.cells("a")
