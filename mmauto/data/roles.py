"""What each column of a table is used as, guessed from its name and its cells.

The first rule that fits decides, in the order of `RULES`; every guess keeps the reason, so that a
user can disagree with it. Nothing is learned from the target here: columns that give the label away
are found by `mmauto.data.leaks`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmauto.data.cells import WHOLE, numbers
from mmauto.findings import RoleGuess

ROLES = ("image", "text", "numeric", "categorical", "group", "split", "id", "domain", "ignore")
IMAGE_FILE = re.compile(r"\.(png|jpe?g|bmp|gif|webp|tiff?|ppm|pgm)$", re.IGNORECASE)
OTHER_FILE = re.compile(r"\.(wav|flac|mp3|ogg|mp4|avi|mov|pdf|npz?|dcm|json|txt|csv)$", re.I)
DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[./]\d\d?[./]\d{4}")
IMAGE_START = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
GROUP_NAMES = frozenset(
    {"group", "patient", "subject", "case", "person", "user", "customer", "speaker", "author"}
    | {"client", "household", "participant", "session", "visitor", "donor", "individual"}
)
ID_NAMES = frozenset({"id", "uid", "uuid", "guid", "rowid", "sampleid", "key", "identifier"})
SIDE_NAMES = frozenset({"train", "valid", "val", "validation", "dev", "test"})
LOOKED_AT = 200
"""So many cells are enough to recognise files and images."""

MOST = 0.9
"""Share of the known cells that must look like a kind."""

FEW_VALUES = 20
SENTENCE = 4.0
"""Words a cell on average from which a text is no category."""


@dataclass(frozen=True)
class Cells:
    """One column as the rules see it: ``known`` are its cells that are not missing."""

    name: str
    rows: int
    known: Sequence[Any]

    @property
    def words(self) -> frozenset[str]:
        """The parts of the column's name, in lower case."""
        split = re.sub(r"([a-z])([A-Z])", r"\1 \2", self.name).lower()
        return frozenset(re.findall(r"[a-z]+", split))

    @cached_property
    def texts(self) -> list[str]:
        """The cells that are text, stripped."""
        return [cell.strip() for cell in self.known if isinstance(cell, str)]

    @cached_property
    def distinct(self) -> int:
        """Different cells."""
        return len(set(self.known))

    @cached_property
    def length(self) -> float:
        """Mean number of words a cell."""
        return float(np.mean([len(text.split()) for text in self.texts])) if self.texts else 0.0

    @cached_property
    def numeric(self) -> np.ndarray:
        """``(K,)`` the texts as numbers, NaN where one is none."""
        return numbers(self.texts)

    def mostly(self, fits: Callable[[Any], object]) -> bool:
        """Whether `MOST` of the first cells fit."""
        head = self.known[:LOOKED_AT]
        return sum(bool(fits(cell)) for cell in head) >= MOST * len(head)


Verdict = tuple[str, str]


def is_image(cell: object) -> bool:
    """Whether a cell holds an image itself: its bytes, or those bytes in base64."""
    data = cell if isinstance(cell, bytes) else decoded(cell) if isinstance(cell, str) else None
    return data is not None and data.startswith(IMAGE_START)


def decoded(cell: str) -> bytes | None:
    """A base64 cell's bytes (with or without ``data:...;base64,``), or None where it is none."""
    body = cell.split(",", 1)[1] if cell.startswith("data:") and "," in cell else cell
    if len(body) < 40:
        return None
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None


def _empty(column: Cells) -> Verdict | None:
    return None if column.known else ("ignore", "empty")


def _image(column: Cells) -> Verdict | None:
    if column.mostly(lambda cell: isinstance(cell, str) and IMAGE_FILE.search(cell.strip())):
        return "image", f"paths of pictures, e.g. {_short(column.texts[0])}"
    if column.mostly(is_image):
        kind = "bytes" if isinstance(column.known[0], bytes) else "base64 text"
        return "image", f"pictures as {kind}"
    return None


def _other_files(column: Cells) -> Verdict | None:
    if any(isinstance(cell, bytes) for cell in column.known[:LOOKED_AT]):
        return "ignore", "bytes that are no picture"
    if any(isinstance(cell, tuple) for cell in column.known[:LOOKED_AT]):
        return "ignore", "lists, which only a target may hold"
    if column.mostly(lambda cell: OTHER_FILE.search(cell)):
        return "ignore", f"paths of files that no encoder reads, e.g. {_short(column.texts[0])}"
    return None


def _split(column: Cells) -> Verdict | None:
    sides = {text.lower() for text in column.texts}
    if column.words & {"split", "fold", "subset", "partition", "set"} and sides <= SIDE_NAMES:
        whole = len(column.known) == column.rows and {"train", "test"} <= sides
        said = ", ".join(sorted(sides))
        return ("split", f"says {said}") if whole else ("ignore", f"no whole split: says {said}")
    return None


def _id(column: Cells) -> Verdict | None:
    named = column.name.lower().replace("_", "") in ID_NAMES
    unique = column.distinct == len(column.known) == column.rows
    if named or ("id" in column.words and unique):
        repeats = (
            "" if unique else f", though {column.rows - column.distinct} rows repeat or lack one"
        )
        return "id", f"named like an id{repeats}"
    return None


def _group(column: Cells) -> Verdict | None:
    repeats = 2 < column.distinct < len(column.known)
    if column.words & GROUP_NAMES and repeats and column.length < SENTENCE:
        return "group", f"{column.distinct} different values: rows of one stay on one side"
    return None


def _constant(column: Cells) -> Verdict | None:
    if column.distinct == 1:
        return "ignore", f"always {_short(str(column.known[0]))}"
    return None


def _date(column: Cells) -> Verdict | None:
    return ("ignore", "dates") if column.mostly(DATE.fullmatch) else None


def _number(column: Cells) -> Verdict | None:
    found = column.numeric
    share = float(np.mean(~np.isnan(found)))
    if share < 0.95:
        return None
    if _counts_rows(column):
        return "ignore", "a running number"
    rest = "" if share == 1 else f" ({1 - share:.1%} are words and count as missing)"
    return "numeric", f"numbers from {np.nanmin(found):g} to {np.nanmax(found):g}{rest}"


def _counts_rows(column: Cells) -> bool:
    unique = column.distinct == len(column.known) == column.rows >= FEW_VALUES
    whole = unique and all(WHOLE.fullmatch(text) for text in column.texts)
    return whole and float(np.ptp(column.numeric)) == column.rows - 1


def _words(column: Cells) -> Verdict | None:
    count, share = column.distinct, column.distinct / len(column.known)
    if column.length >= SENTENCE and count > FEW_VALUES:
        return "text", f"{column.length:.0f} words a cell"
    if share <= 0.5 or count <= FEW_VALUES:
        return "categorical", f"{count} different values"
    if column.length >= 1.5:
        return "text", f"{column.length:.1f} words a cell, {share:.0%} of them different"
    if share == 1 and len(column.known) == column.rows:
        return "id", "one word a cell, all different"
    return "ignore", f"one word a cell, {share:.0%} of them different: names or codes"


RULES: Sequence[Callable[[Cells], Verdict | None]] = (
    _empty, _image, _other_files, _split, _constant, _group, _id, _date, _number, _words,
)  # fmt: skip
ONCE = ("split", "group", "id", "domain")


def guess_roles(
    columns: Mapping[str, Sequence[Any]], named: Mapping[str, str], targets: Sequence[str]
) -> list[RoleGuess]:
    """A role for every column, in the table's order.

    Args:
        columns: name -> cells: text, bytes, tuples of labels, or None where missing.
        named: column -> role as the user said; not guessed.
        targets: columns to predict.
    """
    found: dict[str, RoleGuess] = {}
    taken = {role for role in named.values() if role in ONCE}
    # the plainest name goes first: `split` before `official_split`; codes are ids only where no
    # column is called one
    called = {name: "id" in Cells(name, 0, ()).words for name in columns}
    for name in sorted(columns, key=lambda name: (not called[name], len(name))):
        if name in targets:
            found[name] = RoleGuess(name, "target", "named")
        elif name in named:
            found[name] = RoleGuess(name, named[name], "named")
        else:
            cells = Cells(name, len(columns[name]), [c for c in columns[name] if c is not None])
            role, reason = next(said for rule in RULES if (said := rule(cells)) is not None)
            if role in taken:
                role, reason = "ignore", f"another column is the {role}"
            elif role in ONCE:
                taken.add(role)
            found[name] = RoleGuess(name, role, reason)
    return [found[name] for name in columns]


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:27]}...")
