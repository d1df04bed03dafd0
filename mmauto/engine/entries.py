"""The entries of the feature cache as files: which there are, and which must go."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmauto.data.places import LOOKS

KEY = "key.json"
SAMPLES = "samples.sha256"
SUMS = "sums.json"
"""In an entry: what it was made with, whose time is that of the last use; 32 bytes a sample; a
checksum of each array."""

FORMS = "forms"
"""The folder beside the entries that holds what `mmauto.engine.forms` measured."""

STATES = "states"
"""The folder that holds what encoders have learned from train rows; see `mmauto.engine.states`."""

PART, GONE = ".part", ".gone"
"""Folders that are being written, and removed."""

RECENT = 3600.0
"""Seconds for which an entry counts as in use: another process may be about to read it again."""


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Attributes:
        about: the ingredients of its key.
        rows: samples in it.
        size: bytes on disk.
        used: when it was last used, in seconds since 1970.
    """

    place: Path
    about: dict[str, Any]
    rows: int
    size: int
    used: float


def entries(folder: Path) -> list[Entry]:
    """All entries of a cache folder, the one used last first."""
    return sorted(_entries(folder), key=lambda entry: entry.used, reverse=True)


def _entries(folder: Path) -> Iterator[Entry]:
    for key in folder.glob(f"*/{KEY}"):
        if key.parent.suffix in (PART, GONE):
            continue
        try:
            size = sum(file.stat().st_size for file in key.parent.iterdir())
            samples = key.parent / SAMPLES
            rows = samples.stat().st_size // 32 if samples.exists() else 0
            yield Entry(key.parent, json.loads(key.read_text()), rows, size, key.stat().st_mtime)
        except (OSError, ValueError, RecursionError):  # damaged, or removed at this moment
            continue


def remove(place: Path) -> None:
    """Take an entry away as a whole: who opens it meanwhile finds none, not a part of one."""
    gone = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}{GONE}")
    try:
        place.rename(gone)
    except OSError:  # it is not there, or on Windows still open: it stays
        return
    shutil.rmtree(gone, ignore_errors=True)


def trim(folder: Path, limit: int, keep: Path) -> None:
    """Remove the least recently used entries beyond a limit, and what killed processes left.

    Entries used within the last `RECENT` seconds stay, whatever the limit.

    Args:
        limit: bytes.
        keep: an entry that stays.
    """
    remove_leftovers(folder)
    found = entries(folder)
    total = sum(entry.size for entry in found)
    for entry in reversed(found):
        if total <= limit or entry.used > time.time() - RECENT:
            break
        if entry.place != keep:
            remove(entry.place)
            total -= entry.size


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished folders whose process has died: nobody holds their lock any more."""
    for gone in folder.glob(f"*{GONE}"):
        shutil.rmtree(gone, ignore_errors=True)
    for part in folder.glob(f"*{PART}"):
        name = part.name.partition(".")[0]
        try:
            with FileLock(folder / f"{name}.lock", timeout=0):
                shutil.rmtree(part, ignore_errors=True)
        except Timeout:  # its writer lives
            continue


def remove_memories(folder: Path) -> None:
    """Forget measured forms, fitted states and what pictures look like."""
    for name in (FORMS, STATES, LOOKS):
        shutil.rmtree(folder / name, ignore_errors=True)
