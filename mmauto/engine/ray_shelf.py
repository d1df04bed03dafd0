"""What encoders have computed, for the machines of a Ray cluster that share no folder.

The coordinator's cache is everybody's shelf: what is on it travels through the object store, into
which it is put once, and what a machine had to compute itself is brought to it.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from mmauto.engine.entries import PART
from mmauto.engine.parcels import Parcel, packed, unpacked


class Shelf:
    """The way to the coordinator's cache from a machine that cannot read it; picklable.

    Args:
        keeper: a Ray actor of the class `Keeper`.
        sign: a file in the coordinator's cache: who sees it needs no shelf.
    """

    def __init__(self, keeper: Any, sign: Path):
        self.keeper, self.sign = keeper, sign

    def fetch(self, name: str, folder: Path) -> bool:
        """Copy an entry of the cache into a folder; False where there is none to be had."""
        import ray
        from ray.exceptions import RayError

        try:
            found = ray.get(self.keeper.find.remote(name))
            if found:
                unpacked(ray.get(found[0]), folder)
        except RayError:  # the entry can be computed here, too
            return False
        return bool(found)

    def bring(self, name: str, folder: Path) -> None:
        """Give the coordinator an entry that was computed here."""
        self.keeper.keep.remote(name, packed(folder))


class Keeper:
    """A Ray actor's class, on the coordinator's machine.

    Args:
        folder: the coordinator's cache of features.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self.found: dict[str, Any] = {}

    def find(self, name: str) -> list[Any]:
        """A reference to an entry's files in the object store; none where there is no entry."""
        import ray

        if name not in self.found and (parcel := packed(self.folder / name)):
            self.found[name] = ray.put(parcel)
        return [self.found[name]] if name in self.found else []

    def keep(self, name: str, parcel: Parcel) -> None:
        """Write an entry into the cache, as a whole or not at all."""
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=PART, dir=self.folder))
        unpacked(parcel, fresh)
        try:
            fresh.rename(self.folder / name)
        except OSError:  # another machine was faster
            shutil.rmtree(fresh, ignore_errors=True)


def put_up(folder: str, node: str) -> Shelf:
    """A shelf with the entries of a cache folder.

    Args:
        node: the coordinator's, where its actor is to live.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    sign = place / f"{uuid.uuid4().hex}.here"
    sign.touch()
    keeper: Any = ray.remote(Keeper)
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return Shelf(keeper.options(num_cpus=0, scheduling_strategy=strategy).remote(folder), sign)
