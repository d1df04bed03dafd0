"""Image columns of a table: paths that stay in its folder, files that decode."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmauto.data.columns import ImageFiles
from mmauto.errors import DataError

SHOWN = 3
"""So many culprits are named in a message."""


def image_column(cells: Sequence[str | None], name: str, folder: Path) -> ImageFiles:
    """The images that ``cells`` name, each one decoded once so that none fails in a search.

    Args:
        cells: paths relative to ``folder``, or None where the image is missing.
        name: the column's name, for messages.

    Raises:
        DataError: paths leave the folder, files are missing, or files do not decode.
    """
    root = os.path.realpath(folder)
    paths = {cell: _inside(cell, root) for cell in dict.fromkeys(cells) if cell is not None}
    where = f"column {name!r}, folder {folder}"
    leaving = [cell for cell, path in paths.items() if path is None]
    if leaving:
        raise DataError(
            f"image paths are relative and stay inside the table's folder, {_some(leaving)} "
            f"{'does' if len(leaving) == 1 else 'do'} not ({where}); copy the images into it"
        )
    missing = [cell for cell, path in paths.items() if path and not os.path.isfile(path)]
    if missing:
        raise DataError(
            f"every image must exist, {_some(missing)} not found ({where}); "
            "add the files, or leave the cells empty where an image is missing"
        )
    files = {cell: path for cell, path in paths.items() if path is not None}
    bad = [
        cell for cell, fine in zip(files, _decodable(list(files.values())), strict=True) if not fine
    ]
    if bad:
        raise DataError(
            f"every image must decode, {_some(bad)} cannot be read as an image ({where}); "
            "repair the files, or leave the cells empty where an image is missing"
        )
    return ImageFiles([None if cell is None else files[cell] for cell in cells])


def _inside(cell: str, root: str) -> Path | None:
    if os.path.isabs(cell):
        return None
    try:
        real = os.path.realpath(os.path.join(root, cell))
    except ValueError:  # a NUL character: no such file can exist
        return Path(root, cell.replace("\0", "\\0"))
    return Path(real) if os.path.commonpath([real, root]) == root else None


def _decodable(paths: Sequence[Path]) -> list[bool]:
    # Pillow decodes outside the interpreter's lock, so threads help; very large pictures only
    # warn here, they are refused at twice Pillow's limit
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")
        return list(pool.map(_decodes, paths))


def _decodes(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.draft("RGB", (64, 64))  # JPEG: all bytes are read, few pixels are made
            image.load()
    except Exception:  # Pillow's decoders raise whatever the bytes lead them to
        return False
    return True


def _some(names: Sequence[str]) -> str:
    # a text column given as images by mistake would otherwise fill the screen
    shown = ", ".join(repr(n if len(n) <= 60 else f"{n[:57]}...") for n in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} ({shown}{more})"
