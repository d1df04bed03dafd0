"""Arrays beside the database: predictions of every finished trial, and the labels they face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mmauto.arrays import one_reads
from mmauto.errors import StoreError
from mmauto.views import Predictions

CHECKPOINTS = "checkpoints"
"""The folder of training in progress; see `mmauto.engine.checkpoint`."""

PREDICTIONS = "predictions"
TRUTH = f"{PREDICTIONS}/truth.npz"
SUBGROUPS = "subgroups/"


def save_truth(
    folder: Path,
    truth: Mapping[str, Predictions],
    groups: Mapping[str, np.ndarray | None],
    ids: Mapping[str, np.ndarray],
    subgroups: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> None:
    """The labels, groups and ids of the validation and test rows, before a study is created.

    Args:
        subgroups: column -> subgroup labels of the test rows.

    Raises:
        StoreError: the folder cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for split, found in truth.items():
        arrays |= {f"truth/{split}/{name}": values for name, values in found.items()}
        labels = groups[split]
        if labels is not None:
            arrays[f"groups/{split}"] = labels.astype(np.str_)
    arrays |= {f"ids/{side}": names.astype(np.str_) for side, names in ids.items()}
    arrays |= {f"{SUBGROUPS}{name}": found.astype(np.str_) for name, found in subgroups.items()}
    try:
        (folder / PREDICTIONS).mkdir(parents=True, exist_ok=True)
        save_arrays(folder / TRUTH, arrays)
    except OSError as error:
        raise StoreError(
            f"a study needs a folder that can be written, {folder} is not one "
            f"({error.strerror}); choose another --out"
        ) from error


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` under a temporary name and rename it."""
    fresh = path.with_suffix(".tmp")
    try:
        with fresh.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        fresh.replace(path)
    except OSError:  # e.g. a full disk, which half a file would keep full
        fresh.unlink(missing_ok=True)
        raise


def stored_predictions(folder: Path) -> bool:
    """Whether trials of a study in ``folder`` have left predictions."""
    return any((folder / PREDICTIONS).glob("[0-9]*.npz"))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote.

    Raises:
        StoreError: the file is not there or is damaged.
    """
    try:
        with one_reads, path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        if not all(isinstance(value, np.ndarray) for value in found.values()):
            raise ValueError("it holds something else than arrays")
        return found
    except Exception as error:  # zip, numpy and memory each have errors of their own
        raise StoreError(
            f"predictions listed in the study must be readable, {path} is not ({error}); restore "
            "the file, or run the study again under another --name"
        ) from error


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose name starts with ``prefix``, without it."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
