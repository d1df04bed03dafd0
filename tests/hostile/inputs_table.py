"""Tables: real ones with damage, and generated ones, as bytes of every format."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mmauto.data.inputs import Wanted, read_rows
from mmauto.data.table import read_table

NASTY = (
    *("", " ", "\0", "\r", "\n", "\r\n", '"', '""', "'", ",", ";", "\t", "|", "\\", "\ufeff"),
    *("\u202e", "\u2028", "\x1b[31m", "é", "漢", "\U0001f600", "=1+1", "@x", "-", "NaN", "inf"),
    *("1e999", "-0", "0x1f", "9" * 400, "9" * 5000 + "x", "{", "[", "null", "true", "../../x.png"),
    *("/etc/passwd", "file:///etc/passwd", "\\\\host\\share\\x.png", "x\0.png", "label", "split"),
    *("train", "id", "<script>", "a" * 300, "data:image/png;base64,AAAA", "2020-13-45", "\\ud800"),
)
RAW = (
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\0\0\0\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x80" * 9,
)


def frame() -> pd.DataFrame:
    rows = range(24)
    return pd.DataFrame(
        {
            "id": [f"r{row}" for row in rows],
            "age": [20.5 + row for row in rows],
            "city": [("Ulm", "Bonn", None)[row % 3] for row in rows],
            "note": [f"a {('calm', 'loud')[row % 2]} day with {row} birds" for row in rows],
            "when": pd.to_datetime(["2020-01-02"] * 24),
            "photo": [f"p{row}.png" for row in rows],
            "label": [("no", "yes")[row // 2 % 2] for row in rows],
        }
    )


def originals() -> dict[str, bytes]:
    """Suffix -> a good table."""
    table = frame()
    parquet, excel = io.BytesIO(), io.BytesIO()
    table.to_parquet(parquet)
    table.to_excel(excel, index=False)
    lines = [json.dumps(row, default=str) for row in table.to_dict("records")]
    return {
        ".csv": table.to_csv(index=False).encode(),
        ".tsv": table.to_csv(index=False, sep="\t").encode("utf-16"),
        ".jsonl": "\n".join(lines).encode(),
        ".parquet": parquet.getvalue(),
        ".xlsx": excel.getvalue(),
    }


@st.composite
def damaged(draw: DrawFn, content: bytes) -> bytes:
    """The bytes with a few places cut out, repeated, overwritten or filled."""
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from((0, 1, 2, 7, 60, len(content))))
        fill = draw(
            st.sampled_from((b"", content[start : start + length] * 3))
            | st.sampled_from(RAW)
            | st.binary(max_size=6)
            | st.sampled_from(NASTY).map(lambda text: text.encode("utf-8", "surrogatepass"))
        )
        content = content[:start] + fill + content[start + length :]
    return content


@st.composite
def workbook(draw: DrawFn, content: bytes) -> bytes:
    """A workbook whose archive is whole, and one part inside is not."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        chosen = draw(st.sampled_from(old.namelist()))
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, draw(damaged(part)) if name == chosen else part)
    return out.getvalue()


cell: SearchStrategy[Any] = (
    st.sampled_from(NASTY) | st.text(max_size=8) | st.integers(-3, 3).map(str)
)
value: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | cell,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(cell, inner, max_size=2),
    max_leaves=5,
)


@st.composite
def generated_csv(draw: DrawFn) -> bytes:
    mark = draw(st.sampled_from(",;\t|"))
    names = [*draw(st.lists(cell, min_size=1, max_size=4)), "label"]
    rows = draw(st.lists(st.lists(cell, min_size=1, max_size=6), min_size=1, max_size=12))
    labels = draw(st.lists(st.sampled_from(("a", "b", "")), min_size=12, max_size=12))
    lines = [mark.join(names)]
    for row, label in zip(rows, labels, strict=False):
        lines.append(mark.join([*row[: len(names) - 1], label]))
    encoding = draw(st.sampled_from(("utf-8", "utf-16", "cp1252", "gb18030", "utf-32")))
    return "\n".join(lines).encode(encoding, "replace")


@st.composite
def generated_jsonl(draw: DrawFn) -> bytes:
    rows = draw(st.lists(st.dictionaries(cell, value, max_size=4), min_size=1, max_size=12))
    for place, row in enumerate(rows):
        if draw(st.booleans()) or place < 2:
            row["label"] = ("a", "b")[place % 2]
    return "\n".join(json.dumps(row) for row in rows).encode()


def make(folder: Path) -> tuple[SearchStrategy[Any], Any]:
    good = originals()
    named = [st.tuples(st.just(suffix), damaged(content)) for suffix, content in good.items()]
    suffixes = st.sampled_from(sorted(good))
    inputs = st.one_of(
        *named,
        *named[:3],
        st.tuples(st.just(".xlsx"), workbook(good[".xlsx"])),
        st.tuples(st.sampled_from((".csv", ".tsv")), generated_csv()),
        st.tuples(st.just(".jsonl"), generated_jsonl()),
        st.tuples(suffixes, st.binary(max_size=60)),
        st.tuples(suffixes, st.sampled_from(sorted(good.values()))),
    )
    wanted = {
        "tabular": Wanted("tabular", ("age", "city"), {"age": "numeric", "city": "categorical"}),
        "text": Wanted("text", ("note",), {}),
    }

    def use(place: Path, item: tuple[tuple[str, bytes], bool]) -> None:
        (suffix, content), predicting = item
        table = place / f"data{suffix}"
        table.write_bytes(content)
        if predicting:
            assert read_rows(table, wanted).ids is not None
            return
        data = read_table(table, max_bad=0.99)
        assert len(data.ids)
        "".join(map(str, [*data.ids, *data.notes, *data.findings])).encode()

    return st.tuples(inputs, st.booleans()), use
