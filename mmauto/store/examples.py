"""The test rows that are worth a look, with their pictures, in one file beside the database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.answered import Example, Examples, Shown
from mmauto.store.files import load_arrays, save_arrays

EXAMPLES = "examples.npz"


def save_examples(folder: Path, examples: Examples) -> None:
    """Keep them; an older file is replaced.

    Args:
        folder: of the study.
    """
    pictures = {
        f"picture/{place}/{key}": np.frombuffer(part.picture, dtype=np.uint8)
        for place, row in enumerate(examples.rows)
        for key, part in row.parts.items()
        if part.picture
    }
    about = asdict(examples)
    for row in about["rows"]:
        for part in row["parts"].values():
            del part["picture"]
    words = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    save_arrays(folder / EXAMPLES, {"about": words, **pictures})


def load_examples(folder: Path) -> Examples | None:
    """What is kept; None where no rows were chosen.

    Raises:
        StoreError: the file is damaged.
    """
    if not (folder / EXAMPLES).exists():
        return None
    arrays = load_arrays(folder / EXAMPLES)
    about = json.loads(arrays["about"].tobytes())
    rows = [
        Example(
            row["row"],
            row["why"],
            {
                key: _shown(part, arrays.get(f"picture/{place}/{key}"))
                for key, part in row["parts"].items()
            },
        )
        for place, row in enumerate(about["rows"])
    ]
    return Examples(about["arm"], tuple(rows), tuple(about["notes"]))


def _shown(part: dict[str, Any], picture: np.ndarray | None) -> Shown:
    # older files know nothing of attention
    lists = {name: tuple(part.get(name, ())) for name in ("words", "effects", "attention")}
    return Shown(**{**part, **lists, "picture": b"" if picture is None else picture.tobytes()})
