"""A sample as people read it, and the same sample with one of its pieces hidden after another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.answered import Shown
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays
from mmauto.values import Column

if TYPE_CHECKING:
    from PIL.Image import Image

LETTERS = 600
"""Of a text; the rest is not shown."""
WORDS = 60
"""So many words are left out one by one, from the first."""
CUT = "…"
"""Stands for the rest of a text."""
QUALITY = 85
THUMBNAILS = (224, 160, 112, 80)
"""Pixels of a small picture's longer side: the first that fits is taken."""
ROOM = 36_000
"""Bytes for the small pictures of one row: twelve rows stay under 600 kB in base64."""
LARGEST = 512
"""Pixels of the longer side of pictures whose patches are covered: encoders read no more."""


@dataclass(frozen=True)
class Pieces:
    """A sample and its changes.

    Attributes:
        column: the sample as it is, then with one piece hidden, a row each.
        places: which piece is hidden in each row after the first.
        total: pieces, with those that are not hidden.
    """

    column: Column
    places: tuple[int, ...]
    total: int


def shown(column: Column, row: int, pictures: int = 1) -> Shown:
    """A sample that is there, as people read it; of an unknown modality, only its name.

    Args:
        pictures: image columns that share the room for pictures.
    """
    sample: Any = column[row]
    if column.modality == "image":
        return Shown("image", picture=_thumbnail(sample, ROOM // max(1, pictures)))
    if column.modality == "text":
        return Shown("text", words=tuple(_words(sample)))
    if column.modality == "tabular":
        return Shown("tabular", fields={name: _plain(sample.get(name)) for name in column.fields})
    return Shown(column.modality)


def pieces_of(column: Column, row: int, side: int, usual: Mapping[str, Any]) -> Pieces | None:
    """The changes of a sample that is there; None where its modality has no pieces.

    Args:
        side: patches a side of a picture.
        usual: field -> its typical value, for tabular columns.
    """
    sample: Any = column[row]
    if column.modality == "image":
        return _patches(sample, side)
    if column.modality == "text":
        return _left_out(sample)
    if column.modality == "tabular":
        return _replaced(sample, column, usual)
    return None


def typical(train: Column) -> dict[str, Any]:
    """The median or the most frequent value of each field; None where it never has one."""
    rows = [row for row in train if row is not None]
    return {
        name: _middle([row[name] for row in rows if row[name] is not None], kind)
        for name, kind in train.fields.items()
    }


def _thumbnail(picture: Image, room: int) -> bytes:
    data = b""
    for longest in THUMBNAILS:
        small, file = picture.copy(), BytesIO()
        small.thumbnail((longest, longest))
        small.save(file, "JPEG", quality=QUALITY)
        data = file.getvalue()
        if len(data) <= room:
            break
    return data


def _patches(picture: Image, side: int) -> Pieces:
    small = picture.copy()
    small.thumbnail((LARGEST, LARGEST))
    whole = np.asarray(small)
    mean = whole.mean(axis=(0, 1)).round().astype(np.uint8)
    downs, rights = (_cuts(size, side) for size in whole.shape[:2])
    rows = [whole]
    for down in downs:
        for right in rights:
            covered = whole.copy()
            covered[down, right] = mean
            rows.append(covered)
    return Pieces(ImageArrays(np.stack(rows)), tuple(range(side**2)), side**2)


def _cuts(size: int, side: int) -> list[slice]:
    edges = np.linspace(0, size, side + 1).round().astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text that are shown begin and end; the last one may be cut."""
    return [match.span() for match in re.finditer(r"\S+", text[:LETTERS])]


def _words(text: str) -> list[str]:
    return [text[start:end] for start, end in _spans(text)] + [CUT] * (len(text) > LETTERS)


def _left_out(text: str) -> Pieces:
    spans = _spans(text)[:WORDS]
    changed = [text[:start].rstrip() + " " + text[end:].lstrip() for start, end in spans]
    total = len(_words(text))
    return Pieces(Texts([text, *(one.strip() for one in changed)]), tuple(range(len(spans))), total)


def _replaced(sample: Any, column: Column, usual: Mapping[str, Any]) -> Pieces:
    """Fields that have a value, each with the one that is typical."""
    names = list(column.fields)
    places = [place for place, name in enumerate(names) if sample.get(name) is not None]
    rows = [sample, *({**sample, names[place]: usual[names[place]]} for place in places)]
    values = {
        name: np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)
        if kind == "numeric"
        else np.array([row[name] for row in rows], dtype=object)
        for name, kind in column.fields.items()
    }
    return Pieces(TabularValues(values, column.fields), tuple(places), len(names))


def _middle(known: list[Any], kind: str) -> Any:
    if not known:
        return None
    if kind == "numeric":
        return float(np.median(known))
    # of equally frequent ones the first in order, so that rows may stand in any order
    return min(Counter(known).items(), key=lambda item: (-item[1], str(item[0])))[0]


def _plain(value: Any) -> float | str | None:
    return value if value is None or isinstance(value, str) else float(value)
