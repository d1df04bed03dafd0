"""What one decoding tells of a picture, remembered by the picture's bytes.

A second search on the same pictures reads their files and decodes none of them here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.arrays import one_reads
from mmauto.data.image_columns import ImageBlobs, ImageFiles, rgb
from mmauto.data.places import LOOKS, feature_folder

MOST_PIXELS = 50_000_000
"""A larger picture is taken for a decompression bomb; it would need 150 MB as RGB."""

MOST_BYTES = 500_000_000
"""A larger file holds more than the pixels of a picture of that size."""

RUNS = "EPS"
"""The kind of pictures for which Pillow would start a program, whatever their suffix says."""

HASH = 16
"""The perceptual hash compares neighbours on a grid of so many rows and columns: 256 bits."""

LIVELY = 0.7
"""Share of neighbours that must differ: drawings on plain ground have no hash of their own."""

THUMB = 8
"""Rows and columns of a thumbnail."""

MOST_KEPT = 200_000
"""Pictures of one column that are remembered, about 300 bytes each."""

MISSING = "not found"
FORMAT = 1


@dataclass(frozen=True)
class Look:
    """What one decoding tells of a picture.

    Attributes:
        wrong: why it cannot be used; empty where it can.
        pixels: SHA-1 of size and pixels, equal for exact copies in any file format.
        shape: ``(4,)`` uint64, the perceptual hash; None where the picture is too plain for one.
        thumb: ``(THUMB * THUMB * 3,)`` uint8, the picture in little; None where it is wrong.
    """

    wrong: str = ""
    pixels: bytes = b""
    shape: np.ndarray | None = None
    thumb: np.ndarray | None = None


def looks_of(column: ImageFiles | ImageBlobs, name: str) -> list[Look | None]:
    """``(N,)`` looks, None where there is no picture; rows that share a file share its look.

    Args:
        name: what tells this column from other ones, for the file that remembers it.
    """
    rows = {column.source(int(row)): int(row) for row in np.flatnonzero(column.present)}
    memory = _memory(name)
    known = _read(memory)
    fresh: dict[bytes, Look] = {}

    def one(row: int) -> tuple[bytes, Look]:
        try:
            size = _size(column, row)
            if size > MOST_BYTES:
                return b"", Look(f"huge: {size:,} bytes")
            raw = column.raw(row)
        except (OSError, ValueError):  # no path at all, as a name with half a character
            return b"", Look(MISSING)
        key = hashlib.sha256(raw).digest()
        if key not in known:
            return key, fresh.setdefault(key, look_at(raw))
        return key, known[key]

    # Pillow decodes outside the interpreter's lock, so threads help
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")  # very large pictures only warn; they are refused below
        found = dict(zip(rows, pool.map(one, rows.values()), strict=True))
    if fresh:
        now = {key: look for key, look in found.values() if key}
        _write(memory, {key: look for key, look in known.items() if key not in now} | now)
    return [
        found[column.source(row)][1] if there else None for row, there in enumerate(column.present)
    ]


def _size(column: ImageFiles | ImageBlobs, row: int) -> int:
    """Bytes of a picture.

    Raises:
        OSError: there is no file, or none that ends: reading from a pipe would wait for ever.
    """
    if isinstance(column, ImageBlobs):
        return int(np.diff(column.spans[row])[0])
    about = column.file(row).stat()
    if not stat.S_ISREG(about.st_mode):
        raise FileNotFoundError(f"{column.file(row)} is no regular file")
    return about.st_size


def look_at(raw: bytes) -> Look:
    """Decode one picture."""
    from PIL import Image

    try:
        Image.init()
        kinds = [kind for kind in Image.OPEN if kind != RUNS]
        with Image.open(BytesIO(raw), formats=kinds) as image:
            pixels = image.width * image.height
            if pixels > MOST_PIXELS:
                return Look(f"huge: {image.width} x {image.height} pixels")
            image.load()
            exact = hashlib.sha1(f"{image.size}".encode(), usedforsecurity=False)
            exact.update(image.convert("RGB").tobytes())
            grey = image.convert("L").resize((HASH + 1, HASH), Image.Resampling.BOX)
            thumb = np.asarray(rgb(image).resize((THUMB, THUMB), Image.Resampling.BOX)).ravel()
    except Image.DecompressionBombError:
        return Look("huge: more pixels than Pillow opens")
    except Exception:  # Pillow's decoders raise whatever the bytes lead them to
        return Look("cannot be decoded")
    values = np.asarray(grey, dtype=np.int16)
    steps = values[:, 1:] - values[:, :-1]
    lively = (steps != 0).mean() >= LIVELY
    shape = np.packbits(steps > 0).view(np.uint64) if lively else None
    return Look("", exact.digest(), shape, thumb)


def _memory(name: str) -> Path:
    import PIL

    about = f"{FORMAT} {PIL.__version__} {name}"
    return feature_folder() / LOOKS / f"{hashlib.sha256(about.encode()).hexdigest()[:40]}.npz"


def _read(memory: Path) -> dict[bytes, Look]:
    """Digest of a picture's bytes -> its look; empty where nothing can be read."""
    try:
        with one_reads, memory.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            a = {name: file[name] for name in ("keys", "pixels", "lively", "shapes", "thumbs")}
        return {
            key.tobytes(): Look("", pixels.tobytes(), shape if lively else None, thumb)
            for key, pixels, lively, shape, thumb in zip(*a.values(), strict=True)
        }
    except Exception:  # numpy and zipfile raise whatever a damaged file leads them to
        return {}


def _write(memory: Path, looks: Mapping[bytes, Look]) -> None:
    """Keep the pictures that can be used: what is wrong with the others is found out again."""
    good = {key: look for key, look in looks.items() if look.thumb is not None}
    good = dict(list(good.items())[-MOST_KEPT:])
    none = np.zeros(HASH * HASH // 64, dtype=np.uint64)
    arrays: dict[str, Any] = {
        "keys": np.frombuffer(b"".join(good), np.uint8).reshape(-1, 32),
        "pixels": np.frombuffer(b"".join(x.pixels for x in good.values()), np.uint8),
        "lively": np.array([look.shape is not None for look in good.values()], dtype=bool),
        "shapes": np.array([none if x.shape is None else x.shape for x in good.values()]),
        "thumbs": np.array([look.thumb for look in good.values()]),
    }
    arrays["pixels"] = arrays["pixels"].reshape(len(good), 20)
    fresh = memory.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):  # a cache that cannot be written to costs time, nothing else
        memory.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            np.savez(file, **arrays)
        fresh.replace(memory)
