"""Arrays computed once and kept on disk, keyed by everything that they depend on.

Wrong reuse would be the worst bug here, so an entry holds all ingredients of its key in full and
they are compared whenever it is read: what it was made with, a digest of every sample, and a
checksum of every array, as disks forget. An entry is written to a folder of its own and renamed, by
one process while others wait. Samples that another entry made in the same way holds already are
copied from there.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from filelock import FileLock

from mmauto.arrays import one_reads
from mmauto.engine.digests import digest
from mmauto.engine.entries import KEY, PART, SAMPLES, SUMS, remove, trim
from mmauto.engine.patience import patiently
from mmauto.errors import PluginError

CHUNK = 1 << 24
"""Bytes that are read at once for a checksum."""

COPY_ROWS = 8192
"""So many rows are copied at once, so that memory stays bounded."""

Arrays: TypeAlias = dict[str, np.ndarray]
Rows: TypeAlias = slice | np.ndarray
Part: TypeAlias = tuple[Rows, Mapping[str, np.ndarray]]
"""Rows, and their arrays by name."""


class Shelf(Protocol):
    """Another machine's entries; see `mmauto.engine.ray_shelf`.

    Attributes:
        sign: a file in that machine's cache, seen by whoever can read it without a shelf.
    """

    sign: Path

    def fetch(self, name: str, folder: Path) -> bool:
        """Copy an entry into a folder; False where there is none to be had."""

    def bring(self, name: str, folder: Path) -> None:
        """Give it an entry that was computed here."""


class ArrayCache:
    """A folder of entries; each is a folder of ``.npy`` files, its key and its samples' digests.

    Args:
        limit: bytes; the least recently used entries beyond it are removed. None: no limit.
        waiting: called now and then while another process makes what is wanted.
        shelf: asked for entries before they are computed.
    """

    def __init__(
        self,
        folder: Path,
        limit: int | None = None,
        waiting: Callable[[], None] = lambda: None,
        shelf: Shelf | None = None,
    ):
        self.folder, self.limit, self.waiting, self.shelf = folder, limit, waiting, shelf

    def find(self, about: Mapping[str, Any], samples: np.ndarray) -> Arrays | None:
        """The arrays of an entry, memory-mapped; None where there is none.

        Args:
            about: JSON values; everything that the arrays depend on but the samples.
            samples: ``(N, 32)`` uint8, a digest a sample, in order.
        """
        place = self._place(about, samples)
        try:
            if not _made_like(place, about) or not np.array_equal(_samples(place), samples):
                return None
            arrays = _arrays(place)
            (place / KEY).touch()  # used; fails where it was removed in the meantime
        except (OSError, ValueError):
            return None
        return arrays

    def known(self, about: Mapping[str, Any], samples: np.ndarray) -> int:
        """How many of the samples entries hold that were made alike; arguments as in `find`."""
        there = {row.tobytes() for _, held in self._alike(about) for row in held}
        return sum(row.tobytes() in there for row in samples)

    def get(
        self,
        about: Mapping[str, Any],
        samples: np.ndarray,
        compute: Callable[[np.ndarray], Iterable[Part]],
    ) -> Arrays:
        """The arrays of an entry, memory-mapped; computed and stored where they are not there.

        Args:
            about, samples: as in `find`.
            compute: given the rows that no entry knows, ascending, gives their arrays in parts,
                which go straight to disk.

        Raises:
            PluginError: the parts' arrays do not fit together.
        """
        place = self._place(about, samples)
        while (found := self.find(about, samples)) is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with patiently(FileLock(f"{place}.lock"), self.waiting):
                # another process may have built it while this one waited
                if self.find(about, samples) is None:
                    remove(place)
                    self._fetch(place)
                    if self.find(about, samples) is None:
                        remove(place)
                        self._write(place, about, samples, compute)
                        if self.shelf is not None:
                            self.shelf.bring(place.name, place)
                    if self.find(about, samples) is None:
                        raise PluginError(
                            "an encoder gives arrays that can be kept and read again, "
                            f"{about.get('encoder', '')} gave none, or the disk under "
                            f"{self.folder} lost them; mend the encoder, or look at the disk"
                        )
            if self.limit is not None:
                trim(self.folder, self.limit, keep=place)
        return found

    def _place(self, about: Mapping[str, Any], samples: np.ndarray) -> Path:
        """Entries made in the same way begin with the same name."""
        return self.folder / f"{digest(about)[:24]}-{digest(samples)[:24]}"

    def _fetch(self, place: Path) -> None:
        if self.shelf is None:
            return
        fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.", suffix=PART, dir=self.folder))
        if self.shelf.fetch(place.name, fresh):
            fresh.rename(place)
        else:
            fresh.rmdir()

    def _write(
        self,
        place: Path,
        about: Mapping[str, Any],
        samples: np.ndarray,
        compute: Callable[[np.ndarray], Iterable[Part]],
    ) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.", suffix=PART, dir=self.folder))
        try:
            writer = _Writer(fresh, len(samples), str(about.get("encoder", "")))
            unknown = self._copy_known(about, samples, writer)
            if len(unknown):
                for rows, arrays in compute(unknown):
                    writer.put(rows, arrays)
            writer.close()
            (fresh / SUMS).write_text(json.dumps(_sums(fresh)))
            (fresh / SAMPLES).write_bytes(samples.tobytes())
            (fresh / KEY).write_text(_text(about))
            fresh.rename(place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _copy_known(
        self, about: Mapping[str, Any], samples: np.ndarray, writer: _Writer
    ) -> np.ndarray:
        """Copy the samples that other entries hold; ``(M,)`` the rows that none does."""
        unknown = np.arange(len(samples))
        for other, there in self._alike(about):
            try:
                arrays = _arrays(other)
            except (OSError, ValueError):  # removed by another process
                continue
            places = {row.tobytes(): at for at, row in enumerate(there)}
            at = np.array([places.get(samples[row].tobytes(), -1) for row in unknown], dtype=int)
            known = np.flatnonzero(at >= 0)
            for start in range(0, len(known), COPY_ROWS):
                some = known[start : start + COPY_ROWS]
                writer.put(unknown[some], {n: array[at[some]] for n, array in arrays.items()})
            unknown = unknown[at < 0]
            if not len(unknown):
                break
        return unknown

    def _alike(self, about: Mapping[str, Any]) -> Iterator[tuple[Path, np.ndarray]]:
        """Entries that were made alike, and the digests ``(N, 32)`` of their samples."""
        for place in sorted(self.folder.glob(f"{digest(about)[:24]}-*")):
            with suppress(OSError, ValueError):  # removed by another process
                if not place.suffix and _made_like(place, about):
                    yield place, _samples(place)


class _Writer:
    """Arrays of ``total`` rows on disk, filled part by part; made when a name is first seen."""

    def __init__(self, folder: Path, total: int, encoder: str):
        self.folder, self.total, self.encoder = folder, total, encoder
        self.files: dict[str, np.memmap[Any, Any]] = {}
        self.first = True

    def put(self, rows: Rows, arrays: Mapping[str, np.ndarray]) -> None:
        """Store some rows' arrays.

        Raises:
            PluginError: they have other names, shapes or types than those of earlier rows: numpy
                would silently repeat or round them.
        """
        if not self.first and arrays.keys() != self.files.keys():
            self._refuse(f"{', '.join(sorted(self.files))} and {', '.join(sorted(arrays))}")
        for name, array in arrays.items():
            if self.first:
                self.files[name] = np.lib.format.open_memmap(
                    self.folder / f"{name}.npy", "w+", array.dtype, (self.total, *array.shape[1:])
                )
            file = self.files[name]
            if (array.shape[1:], array.dtype) != (file.shape[1:], file.dtype):
                self._refuse(
                    f"{name} of {file.shape[1:]} {file.dtype} and of {array.shape[1:]} "
                    f"{array.dtype}"
                )
            file[rows] = array
        self.first = False

    def close(self) -> None:
        """Everything is on its way to the disk."""
        for file in self.files.values():
            file.flush()
        self.files.clear()

    def _refuse(self, found: str) -> None:
        raise PluginError(
            "an encoder gives the same arrays, of one shape and type a row, whatever the rows; "
            f"{self.encoder} gave {found}; mend the encoder, or tell its author"
        )


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=1, sort_keys=True)


def _made_like(place: Path, about: Mapping[str, Any]) -> bool:
    return (place / KEY).read_text(encoding="utf-8") == _text(about)


def _samples(place: Path) -> np.ndarray:
    return np.fromfile(place / SAMPLES, dtype=np.uint8).reshape(-1, 32)


def _sums(place: Path) -> dict[str, int]:
    """Array file -> CRC-32 of its bytes: against a disk's mistakes, not against people."""
    found = {}
    for path in place.glob("*.npy"):
        total = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                total = zlib.crc32(chunk, total)
        found[path.name] = total
    return found


def _arrays(place: Path) -> Arrays:
    """The arrays of an entry.

    Raises:
        OSError: it is not there, or not complete.
        ValueError: it is damaged.
    """
    if json.loads((place / SUMS).read_text()) != _sums(place):
        raise ValueError("the arrays are not those that were written")
    files = sorted(place.glob("*.npy"))
    if not files:  # removed by another process while it was looked at
        raise FileNotFoundError(place)
    # copy-on-write: torch takes the map as it is, workers share its pages
    with one_reads:
        return {file.stem: np.load(file, mmap_mode="c", allow_pickle=False) for file in files}
