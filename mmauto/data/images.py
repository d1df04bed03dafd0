"""Image columns of a table: paths that stay in its folder, files that decode, and their hashes.

Each picture is decoded once before a search, so that none fails in it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.data.columns import Samples
from mmauto.data.image_columns import ImageBlobs, ImageFiles
from mmauto.data.looks import Look, looks_of
from mmauto.data.roles import decoded, is_image
from mmauto.errors import DataError
from mmauto.findings import Finding

SHOWN = 3
"""So many culprits are named in a message."""


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
    looks = looks_of(column, f"{folder} {name}")
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
