"""A folder of class folders as a table: pictures, and the texts beside them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmauto.data.cells import whole
from mmauto.data.formats_read import Read
from mmauto.data.formats_text import decode
from mmauto.data.roles import IMAGE_FILE, SIDE_NAMES

Place = tuple[str, ...]
"""The parts of a path inside the folder."""

DEEPEST = 3
"""``SPLIT/CLASS/x.jpg`` has so many parts; what is deeper is not looked at."""

COLUMNS = ("id", "image", "text", "label", "split")
Row = tuple[str, str | None, str | None, str, str]


def read_folder(folder: Path) -> Read:
    """The pictures and texts of a folder's class folders, sorted.

    ``DIR/CLASS/x.jpg`` and ``DIR/CLASS/x.txt`` are one row. Where the folders of the first level
    are called train, valid (val, validation, dev) or test, the classes are those of the second.

    Returns:
        columns ``id`` (the path without suffix; with it where two pictures differ in nothing else),
        ``image`` (the path), ``text``, ``label`` and, where there are sides, ``split``. No columns
        where there are less than two class folders.

    Raises:
        DataError: a text file holds no text.
        OSError: a folder or a text cannot be opened.
    """
    left: Counter[str] = Counter()
    files = list(_walk(folder, (), left))
    used = [place for place in files if _is_text(place) or IMAGE_FILE.search(place[-1])]
    split = _has_sides(used)
    used = [place for place in used if len(place) == (3 if split else 2)]
    if len({place[-2] for place in used}) < 2:
        return Read({})
    rows, odd = _rows(folder, used)
    columns = COLUMNS if split else COLUMNS[:-1]
    values = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    left["other files"] = len(files) - len(used)
    said = ", ".join(f"{what} ({count})" for what, count in sorted(left.items()) if count)
    notes = [f"left out of {folder}: {said}"] if said else []
    more = f" (and {len(odd) - 1} more notes on texts)" if len(odd) > 1 else ""
    notes.extend(note + more for note in odd[:1])
    return Read(values, tuple(notes))


def _walk(folder: Path, inside: Place, left: Counter[str]) -> Iterator[Place]:
    """The files that are not hidden; links out of the folder and deep folders are counted."""
    root = os.path.realpath(folder)
    with os.scandir(folder.joinpath(*inside)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        place = (*inside, entry.name)
        if entry.name.startswith("."):
            continue
        if whole(entry.name) != entry.name:
            left["names that are not UTF-8"] += 1
            continue
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
            left["links that lead out of it"] += 1
        elif not entry.is_dir():
            yield place
        elif len(place) == DEEPEST:
            left["deeper folders"] += 1
        else:
            yield from _walk(folder, place, left)


def _is_text(place: Place) -> bool:
    return place[-1].lower().endswith(".txt")


def _has_sides(used: Sequence[Place]) -> bool:
    """Whether the first level is named like a split's sides, and classes stand below it."""
    first = {place[0].lower() for place in used if len(place) > 1}
    return first <= SIDE_NAMES and any(len(place) == DEEPEST for place in used)


def _rows(folder: Path, used: Sequence[Place]) -> tuple[list[Row], list[str]]:
    """A row for each picture, and for each text without one; what was guessed in texts."""
    same: dict[Place, list[Place]] = defaultdict(list)
    for place in used:
        same[(*place[:-1], os.path.splitext(place[-1])[0])].append(place)
    rows: list[Row] = []
    notes: list[str] = []
    for name, places in sorted(same.items()):
        images: list[str | None] = ["/".join(place) for place in places if not _is_text(place)]
        text = None
        for place in filter(_is_text, places):
            text, odd = decode(folder.joinpath(*place))
            notes.extend(odd)
        for image in images or [None]:
            id = image if image and len(images) > 1 else "/".join(name)
            rows.append((id, image, text, name[-2], name[0]))
    return rows, notes
