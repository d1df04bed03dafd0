"""Image columns of a table: paths that stay in its folder, files that decode, and their hashes.

Each picture is decoded once here, so that none fails in a search; the same pass takes the hashes
from which `mmauto.data.duplicates` finds pictures that occur twice.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.data.columns import Samples
from mmauto.data.image_columns import ImageBlobs, ImageFiles
from mmauto.data.roles import decoded, is_image
from mmauto.errors import DataError
from mmauto.views import Finding

SHOWN = 3
"""So many culprits are named in a message."""

MOST_PIXELS = 50_000_000
"""A larger picture is taken for a decompression bomb; it would need 150 MB as RGB."""

HASH = 16
"""The perceptual hash compares neighbours on a grid of so many rows and columns: 256 bits."""

LIVELY = 0.7
"""Share of neighbours that must differ: drawings on plain ground have no hash of their own."""


@dataclass(frozen=True)
class Look:
    """What one decoding tells of a picture.

    Attributes:
        wrong: why it cannot be used; empty where it can.
        pixels: SHA-1 of size and pixels, equal for exact copies in any file format.
        shape: ``(4,)`` uint64, the perceptual hash; None where the picture is too plain for one.
    """

    wrong: str = ""
    pixels: bytes = b""
    shape: np.ndarray | None = None


@dataclass(frozen=True)
class Pictures:
    """An image column that can be trained on.

    Attributes:
        column: the pictures; those that cannot be used are missing.
        looks: ``(N,)``, None where the cell was empty.
        findings: what was wrong with the others.
    """

    column: Samples
    looks: Sequence[Look | None]
    findings: Sequence[Finding]


def image_column(
    cells: Sequence[Any], name: str, folder: Path, store: Path, max_bad: float = 0.0
) -> Pictures:
    """The images of one column.

    Args:
        cells: paths (relative to ``folder``, or absolute inside it), the pictures' bytes, those in
            base64, or None where the image is missing.
        name: the column's name, for messages.
        store: a folder where pictures that came as bytes are kept as one file.
        max_bad: share of the pictures that may be unusable; they then count as missing.

    Raises:
        DataError: paths leave the folder, or more pictures cannot be used than ``max_bad``.
    """
    where = f"column {name!r}, folder {folder}"
    if any(isinstance(cell, bytes) or _embedded(cell) for cell in cells):
        column: ImageFiles | ImageBlobs = ImageBlobs.write(
            [cell if isinstance(cell, bytes) else _bytes(cell) for cell in cells], store
        )
        where = f"column {name!r}"
    else:
        column = ImageFiles(_files(cells, name, folder))
    looks = _looks(column)
    bad = {row: look.wrong for row, look in enumerate(looks) if look is not None and look.wrong}
    findings = []
    if bad:
        findings.append(_bad_images(bad, cells, where, len(cells) - looks.count(None), max_bad))
    gone = np.array([row in bad for row in range(len(cells))], dtype=bool)
    return Pictures(column.without(gone) if bad else column, looks, findings)


def _embedded(cell: Any) -> bool:
    # a broken picture is known by its length alone, a tiny one by its first bytes alone
    return isinstance(cell, str) and (
        cell.startswith("data:image") or len(cell) > 1000 or is_image(cell)
    )


def _bytes(cell: Any) -> bytes | None:
    return None if cell is None else (decoded(cell) or str(cell).encode())


def _files(cells: Sequence[str | None], name: str, folder: Path) -> list[Path | None]:
    root = os.path.realpath(folder)
    paths = {cell: _inside(cell, root) for cell in dict.fromkeys(cells) if cell is not None}
    leaving = [cell for cell, path in paths.items() if path is None]
    if leaving:
        raise DataError(
            f"image paths stay inside the table's folder, {_some(leaving)} "
            f"{'does' if len(leaving) == 1 else 'do'} not (column {name!r}, folder {folder}); copy "
            "the images into it, or name the folder that holds them with --image-folder"
        )
    return [None if cell is None else paths[cell] for cell in cells]


def _inside(cell: str, root: str) -> Path | None:
    try:
        real = os.path.realpath(os.path.join(root, cell))
        inside = os.path.commonpath([real, root]) == root
    except ValueError:  # a NUL character, or another drive: no such file can be inside
        return Path(root, cell.replace("\0", "\\0"))
    return Path(real) if inside else None


def _looks(column: ImageFiles | ImageBlobs) -> list[Look | None]:
    # Pillow decodes outside the interpreter's lock, so threads help; rows that share a file share
    # its look
    openers: dict[Any, Callable[[], Any]] = {}
    for row in np.flatnonzero(column.present):
        openers.setdefault(column.source(int(row)), partial(column.file, int(row)))
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")  # very large pictures only warn; they are refused below
        found = dict(zip(openers, pool.map(look_at, openers.values()), strict=True))
    return [
        found[column.source(row)] if there else None for row, there in enumerate(column.present)
    ]


def look_at(open_file: Callable[[], Any]) -> Look:
    """Decode one picture.

    Args:
        open_file: gives a path or a file object.
    """
    from PIL import Image

    try:
        with Image.open(open_file()) as image:
            pixels = image.width * image.height
            if pixels > MOST_PIXELS:
                return Look(f"huge: {image.width} x {image.height} pixels")
            image.load()
            exact = hashlib.sha1(f"{image.size}".encode(), usedforsecurity=False)
            exact.update(image.convert("RGB").tobytes())
            grey = image.convert("L").resize((HASH + 1, HASH), Image.Resampling.BOX)
    except FileNotFoundError:
        return Look("not found")
    except Image.DecompressionBombError:
        return Look("huge: more pixels than Pillow opens")
    except Exception:  # Pillow's decoders raise whatever the bytes lead them to
        return Look("cannot be decoded")
    values = np.asarray(grey, dtype=np.int16)
    steps = values[:, 1:] - values[:, :-1]
    lively = (steps != 0).mean() >= LIVELY
    shape = np.packbits(steps > 0).view(np.uint64) if lively else None
    return Look("", exact.digest(), shape)


def _bad_images(
    bad: dict[int, str], cells: Sequence[Any], where: str, total: int, max_bad: float
) -> Finding:
    kinds = Counter(why.partition(":")[0] for why in bad.values())
    named = [f"{_name(cells[row], row)}: {why}" for row, why in bad.items()]
    shown = "; ".join(named[:SHOWN]) + (f" and {len(named) - SHOWN} more" * (len(named) > SHOWN))
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    if len(bad) > max_bad * total:
        raise DataError(
            f"every image must exist and decode, up to --max-bad {max_bad:.1%} of them; "
            f"{len(bad)} of {total} cannot be used: {said} ({shown}; {where}); repair the files, "
            "leave the cells empty where an image is missing, or raise --max-bad"
        )
    return Finding(
        "bad_images",
        f"{len(bad)} of {total} images cannot be used: {said} ({shown}; {where})",
        "treated as missing",
        warning=True,
    )


def _name(cell: Any, row: int) -> str:
    # a text column given as images by mistake would otherwise fill the screen
    if not isinstance(cell, str) or _embedded(cell):
        return f"row {row + 1}"
    return repr(cell if len(cell) <= 60 else f"{cell[:57]}...")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_name(name, 0) for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} ({shown}{more})"
