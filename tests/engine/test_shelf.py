"""Entries of the cache that another machine has made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto.engine.cache import ArrayCache, Part
from mmauto.engine.entries import SAMPLES
from mmauto.engine.parcels import packed, unpacked
from mmauto.engine.ray_shelf import Keeper

ABOUT = {"encoder": "toy"}
DIGESTS = np.arange(3 * 32, dtype=np.uint8).reshape(3, 32)


class Direct:
    """A shelf without Ray."""

    def __init__(self, keeper: Keeper):
        self.keeper, self.sign, self.brought = keeper, Path("none"), 0

    def fetch(self, name: str, folder: Path) -> bool:
        found = self.keeper.find(name)
        if found:
            unpacked(found[0], folder)
        return bool(found)

    def bring(self, name: str, folder: Path) -> None:
        self.brought += 1
        self.keeper.keep(name, packed(folder))


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    import ray

    monkeypatch.setattr(ray, "put", lambda value: value)
    (tmp_path / "home").mkdir()
    return Keeper(str(tmp_path / "home"))


def compute(rows: np.ndarray) -> Iterator[Part]:
    yield rows, {"values": rows[:, None].astype(np.float32)}


def refuse(rows: np.ndarray) -> Iterator[Part]:
    raise AssertionError("another machine has made it")


def test_what_one_machine_makes_the_next_one_copies(tmp_path: Path, keeper: Keeper) -> None:
    one, two = Direct(keeper), Direct(keeper)
    first = ArrayCache(tmp_path / "one", shelf=one).get(ABOUT, DIGESTS, compute)
    second = ArrayCache(tmp_path / "two", shelf=two).get(ABOUT, DIGESTS, refuse)
    assert first["values"].tolist() == second["values"].tolist() == [[0.0], [1.0], [2.0]]
    assert (one.brought, two.brought) == (1, 0)
    # the coordinator has it for the next search, whole
    assert ArrayCache(tmp_path / "home").find(ABOUT, DIGESTS) is not None
    assert not list((tmp_path / "home").glob("*.part"))


def test_what_was_brought_first_stays(tmp_path: Path, keeper: Keeper) -> None:
    parcel: dict[str, Any] = {"a": np.zeros(1, np.uint8)}
    keeper.keep("x", parcel)
    keeper.keep("x", {"a": np.ones(1, np.uint8)})
    assert packed(tmp_path / "home" / "x")["a"].tolist() == [0]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["x"]


def test_an_entry_that_arrives_wrong_is_made_here(tmp_path: Path, keeper: Keeper) -> None:
    ArrayCache(tmp_path / "home").get(ABOUT, DIGESTS, compute)
    (place,) = (tmp_path / "home").glob("*-*/")
    (place / SAMPLES).write_bytes(b"\0" * 96)
    shelf = Direct(keeper)
    found = ArrayCache(tmp_path / "one", shelf=shelf).get(ABOUT, DIGESTS, compute)
    assert found["values"].tolist() == [[0.0], [1.0], [2.0]]
