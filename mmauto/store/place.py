"""Where a study's tables are: a file in its folder, or a database that several studies share."""

from __future__ import annotations

import secrets
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import make_url, select
from sqlalchemy.exc import ArgumentError

from mmauto.errors import StoreError
from mmauto.store.database import found, sqlite_url
from mmauto.store.lasting import lasting
from mmauto.store.schema import studies
from mmauto.toml import write_toml

FILE = "study.db"
ELSEWHERE = "storage.toml"
HOME = "home"
"""The fact of a study in a shared database that says which folder is its own."""


@dataclass(frozen=True)
class Place:
    """A study's tables.

    Attributes:
        url: of the database, without a password.
        study: its name there; empty: the database holds no other.
        token: the same in the folder and in the database, so that two studies of one name are not
            taken for each other.
    """

    url: str
    study: str = ""
    token: str = ""


def is_study(folder: Path) -> bool:
    """Whether a search has begun in ``folder``."""
    return (folder / FILE).exists() or (folder / ELSEWHERE).exists()


def place_of(folder: Path) -> Place | None:
    """Where the tables of the study in ``folder`` are; None where there is no study.

    Raises:
        StoreError: the folder's note of it cannot be read.
    """
    note = folder / ELSEWHERE
    if note.exists():
        try:
            place = Place(**tomllib.loads(note.read_text(encoding="utf-8")))
            make_url(place.url)
        except (OSError, ValueError, TypeError, ArgumentError) as error:
            raise StoreError(
                f"{note} must say where a study is stored, it cannot be read ({error}); restore it "
                "from a copy"
            ) from error
        return place
    return Place(sqlite_url(folder / FILE)) if (folder / FILE).exists() else None


def storage_of(folder: Path) -> str:
    """The shared database of the study in ``folder``; empty where it has one of its own."""
    place = place_of(folder)
    return place.url if place is not None and place.study else ""


def new_place(folder: Path, name: str, storage: str) -> Place:
    """Where a new study's tables will be, noted in its folder if that is elsewhere."""
    if not storage:
        return Place(sqlite_url(folder / FILE))
    before = place_of(folder)
    if before is not None and before.study:  # killed between this note and the study's row
        return before
    place = Place(storage, name, secrets.token_hex(8))
    write_toml(folder / ELSEWHERE, asdict(place))
    return place


def home(folder: Path, place: Place) -> dict[str, str]:
    """What the database notes about the folder of a study; see `HOME`."""
    return {"token": place.token, "folder": f"{socket.gethostname()}:{folder.absolute()}"}


def noted(facts: object) -> Mapping[str, object]:
    """What `home` left among a study's facts; empty where it has a database of its own."""
    left = facts.get(HOME) if isinstance(facts, dict) else None
    return left if isinstance(left, dict) else {}


def taken(name: str, url: str, facts: object) -> StoreError:
    """The sentence for a name that another folder's study has in a shared database."""
    owner = noted(facts).get("folder") or "another folder"
    return StoreError(
        f"a database holds one study of a name, {url} has {name!r} of {owner}; "
        "choose another --name"
    )


def settle(folder: Path, name: str, storage: str) -> str:
    """The shared database that a search in ``folder`` writes to, before anything is trained.

    Args:
        storage: that was asked for; empty: where the study is, or the folder's own file.

    Raises:
        StoreError: the study is in another database, or the name is another folder's.
    """
    place = place_of(folder)
    if place is not None:
        if storage and place.url != storage:
            raise StoreError(
                f"a study stays in the database where it began, that of {folder} is {place.url}, "
                f"--storage says {storage}; leave --storage out, or choose another --name"
            )
        return place.url if place.study else ""
    engine = found(storage) if storage else None
    if engine is not None:
        query = select(studies.c.facts).where(studies.c.name == name)
        other = lasting(engine, lambda connection: connection.execute(query).first())
        engine.dispose()
        if other is not None:
            raise taken(name, storage, other.facts)
    return storage
