"""Arrays computed once and kept on disk, keyed by everything that they depend on.

Wrong reuse would be the worst bug here, so a key holds all ingredients in full and is stored beside
the arrays. An entry is written to a temporary folder and renamed, under one lock a key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock


def cache_folder() -> Path:
    """``$MMAUTO_CACHE``, or the user's cache folder."""
    given = os.environ.get("MMAUTO_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmauto"))


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


class ArrayCache:
    """A folder of entries; each is a folder of ``.npy`` files and the key in JSON."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(
        self, key: Mapping[str, Any], compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of ``key``, memory-mapped; computed and stored where they are not there."""
        place = self.folder / digest(key)[:40]
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                if not place.exists():  # another process may have built it while this one waited
                    self._write(place, key, compute())
        # copy-on-write: torch takes the map as it is, workers share its pages
        return {
            file.stem: np.load(file, mmap_mode="c", allow_pickle=False)
            for file in sorted(place.glob("*.npy"))
        }

    def _write(self, place: Path, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=self.folder))
        try:
            for name, array in arrays.items():
                np.save(fresh / f"{name}.npy", array, allow_pickle=False)
            (fresh / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True))
            fresh.rename(place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
