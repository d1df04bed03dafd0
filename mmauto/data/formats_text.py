"""Tables in text files, CSV and JSON lines: their encoding, their delimiter and their cells."""

from __future__ import annotations

import codecs
import csv
import io
import json
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from mmauto.data.formats_read import Read, check_names, check_size, no_table

DELIMITERS = "\t;|,"
"""What may stand between cells. Where two fit equally well the first is taken: commas stand in
sentences and decimal numbers too."""

RECORDS, HEAD = 200, 100_000
"""The delimiter is looked for in so many records, and so many characters."""

MOST_NULS = 1 / 1000
"""From this share of NUL bytes on, a file is not taken for text."""

ODD_LINES = 1000
"""So many lines that are not ASCII are enough to guess an encoding."""

WESTERN = "cp1252"
ENCODINGS = (
    *(WESTERN, "cp1250", "cp1251", "cp1253", "cp1254"),
    *("cp932", "gb18030", "big5", "cp949"),
)
"""The guesses: Windows' code pages, which hold ISO 8859's letters too, and those of East Asia."""


def read_csv(path: Path) -> Read:
    """A CSV file with a header, whatever its delimiter.

    Raises:
        DataError: it is no such file.
        OSError: it cannot be opened.
    """
    text, notes = decode(path)
    if not text.strip():
        return Read({})
    delimiter = find_delimiter(text)
    try:
        header = next(_records(text, delimiter))
        check_names(path, header)
        lines = text.count("\n")
        check_size(path, lines, len(header), text.count(delimiter) + lines)
        with warnings.catch_warnings():
            # pandas only warns where rows are longer than the header, and drops what is beyond it
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                sep=delimiter,
                dtype=object,
                na_filter=False,
                skipinitialspace=True,
                index_col=False,
            )
    except pd.errors.ParserWarning:
        raise no_table(path, "its rows have more cells than its header") from None
    except (ValueError, csv.Error) as error:
        raise no_table(path, error) from None
    return Read({str(name): frame[name].tolist() for name in frame.columns}, notes)


def read_jsonl(path: Path) -> Read:
    """A file with one JSON object a line; keys that a line lacks are missing cells.

    Raises:
        DataError: a line is something else.
        OSError: it cannot be opened.
    """
    text, notes = decode(path)
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise no_table(path, f"line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise no_table(path, f"line {number} is not a JSON object")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    check_size(path, len(rows), len(names), sum(map(len, rows)))
    return Read({name: [row.get(name) for row in rows] for name in names}, notes)


def decode(path: Path) -> tuple[str, tuple[str, ...]]:
    """A file's text, and notes on what was guessed or removed.

    Raises:
        DataError: it holds no text.
        OSError: it cannot be opened.
    """
    content, notes = path.read_bytes(), []
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = content.decode("utf-16").encode()
    except UnicodeDecodeError:
        raise no_table(path, "it begins like UTF-16 and goes on as something else") from None
    nuls = content.count(0)
    if nuls and nuls >= len(content) * MOST_NULS:
        raise no_table(path, "it holds binary data where UTF-8 text is expected")
    if nuls:
        content = content.replace(b"\0", b"")
        notes.append(f"NUL bytes removed: {nuls} from {path.name}")
    try:
        return content.decode("utf-8-sig"), tuple(notes)
    except UnicodeDecodeError:
        text, encoding = _guessed(content)
    notes.append(
        f"{path.name} is not UTF-8: it was read as {encoding}, which is a guess, check the accents "
        "in its texts"
    )
    return text, tuple(notes)


def _guessed(content: bytes) -> tuple[str, str]:
    """The text in the encoding that makes the least mess of it, and that encoding."""
    from charset_normalizer import from_bytes

    odd = (line for line in content.split(b"\n") if not line.isascii())
    found = from_bytes(b"\n".join(islice(odd, ODD_LINES)), cp_isolation=list(ENCODINGS))
    best = found.best()
    encoding = best.encoding if best else WESTERN
    if best and encoding == "cp1250":
        # most letters of Western and Central Europe share their bytes, and the West is more common
        close = [m for m in found if m.chaos <= best.chaos and m.coherence > best.coherence - 0.1]
        if any(WESTERN in match.could_be_from_charset for match in close):
            encoding = WESTERN
    try:
        return content.decode(encoding), encoding
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def find_delimiter(text: str) -> str:
    """The delimiter that cuts the header, and the other records into as many cells.

    A delimiter that only some records hold in the header's number stands inside their texts.
    """
    fits = {delimiter: _fit(text, delimiter) for delimiter in DELIMITERS}
    best = max(fits, key=lambda delimiter: fits[delimiter])
    return best if fits[best] else ","


def _fit(text: str, delimiter: str) -> float:
    """Cuts a record, times the square of the share of records that are cut like the header."""
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(islice(filter(None, _records(text[:HEAD], delimiter)), RECORDS))
    if len(text) > HEAD and 1 < len(records) < RECORDS:
        records.pop()  # it is cut off
    if not records:
        return 0.0
    width = len(records[0])
    # half a pair of quotes in a cell: the delimiter stands inside a quoted cell
    good = [
        len(record) == width and not any(cell.count('"') % 2 for cell in record)
        for record in records
    ]
    return (width - 1) * (sum(good) / len(good)) ** 2


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    lines = io.StringIO(text.lstrip("\r\n"), newline="")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
