"""A data frame becomes a file beside the study, so that the study can be resumed and repeated."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.data.formats import open_table
from mmauto.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def keep_frame(frame: pd.DataFrame, folder: Path) -> Path:
    """Write the frame as JSON lines into ``folder``, named after its content; pictures as base64.

    Raises:
        DataError: the frame is empty, holds what no cell may hold, or cannot be written.
    """
    table = open_table(frame)
    names = list(table.values)
    lines = [
        json.dumps({name: _plain(value) for name, value in zip(names, row, strict=True)})
        for row in zip(*table.values.values(), strict=True)
    ]
    text = "\n".join(lines) + "\n"
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = folder / f"frame-{name}.jsonl"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".tmp")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
    except OSError as error:
        raise DataError(
            f"a data frame is kept beside its study, {path} cannot be written "
            f"({error.strerror}); choose another out="
        ) from error
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "data:image;base64," + base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, str | int | float | list) else str(value)
