"""Arrays computed once and kept on disk, keyed by everything that they depend on.

Wrong reuse would be the worst bug here, so a key holds all ingredients in full and is stored beside
the arrays. An entry is written to a temporary folder and renamed, under one lock a key.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from filelock import FileLock


def digest(value: Any) -> str:
    """A SHA-256 of JSON values, arrays and tensors, nested in mappings and sequences."""
    total = hashlib.sha256()
    _feed(total, value)
    return total.hexdigest()


def _feed(total: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value):
            total.update(f"k{key}:".encode())
            _feed(total, value[key])
    elif isinstance(value, list | tuple):
        total.update(f"l{len(value)}:".encode())
        for item in value:
            _feed(total, item)
    elif hasattr(value, "dtype"):
        array = np.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value)
        total.update(f"a{array.dtype}{array.shape}:".encode())
        total.update(array.tobytes())
    else:
        total.update(json.dumps(value, sort_keys=True).encode() + b";")


Part: TypeAlias = tuple[slice, Mapping[str, np.ndarray]]
"""Rows, and their arrays by name."""


class ArrayCache:
    """A folder of entries; each is a folder of ``.npy`` files and the key in JSON."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(
        self, key: Mapping[str, Any], total: int, compute: Callable[[], Iterable[Part]]
    ) -> dict[str, np.ndarray]:
        """The arrays of ``key``, memory-mapped; computed and stored where they are not there.

        Args:
            total: rows of every array.
            compute: gives the arrays in parts, which go straight to disk; rows that no part
                holds stay zero.
        """
        place = self.folder / digest(key)[:40]
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                if not place.exists():  # another process may have built it while this one waited
                    self._write(place, key, total, compute())
        # copy-on-write: torch takes the map as it is, workers share its pages
        return {
            file.stem: np.load(file, mmap_mode="c", allow_pickle=False)
            for file in sorted(place.glob("*.npy"))
        }

    def _write(
        self, place: Path, key: Mapping[str, Any], total: int, parts: Iterable[Part]
    ) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=self.folder))
        try:
            files: dict[str, np.memmap[Any, Any]] = {}
            for rows, arrays in parts:
                for name, array in arrays.items():
                    if name not in files:
                        files[name] = np.lib.format.open_memmap(
                            fresh / f"{name}.npy", "w+", array.dtype, (total, *array.shape[1:])
                        )
                    files[name][rows] = array
            for file in files.values():
                file.flush()
            files.clear()
            (fresh / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True))
            fresh.rename(place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
