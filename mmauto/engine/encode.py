"""Frozen tokens, or a stem's arrays, of many rows: part by part, with progress told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from mmauto.engine.cache import Part
from mmauto.engine.once import Formed, slices, using

ENCODE_BATCH = 128
"""Rows that are encoded between two words on progress on a CPU, and eight times as many on CUDA."""


class OutOfRangeError(Exception):
    """A value leaves the range of the type that it is stored in."""


class Progress:
    """Says how far a long step is: ``encoding text with minilm: 128 of 1,832 (40 rows known)``."""

    def __init__(self, say: Callable[[str], None], what: str, total: int, known: int):
        self.say, self.what, self.total, self.done = say, what, total, 0
        self.known = f" ({known:,} rows known)" if known else ""
        self.add(0)

    def add(self, rows: int) -> None:
        """So many more rows are done."""
        self.done += rows
        self.say(f"{self.what}: {self.done:,} of {self.total:,}{self.known}")


def encoded(
    module: Callable[[Mapping[str, np.ndarray]], Formed],
    parts: Iterable[Part],
    present: np.ndarray,
    device: torch.device,
    dtype: type,
    progress: Progress,
    threads: int,
) -> Iterator[Part]:
    """The arrays that a module makes of prepared ones, floats as ``dtype``; absent rows stay zero.

    Their ``mask``, where there is one, has one real position.

    Args:
        module: given the first prepared arrays, what encodes them all.
        parts: rows of the whole column, and their prepared arrays.
        present: ``(N,)`` bool over the whole column.

    Raises:
        OutOfRangeError: a finite value is not finite in ``dtype``.
    """
    formed: Formed | None = None
    step = ENCODE_BATCH * (8 if device.type == "cuda" else 1)
    for place, prepared in parts:
        formed = formed or module(prepared)
        real = present[place]
        here = np.flatnonzero(real)
        if "mask" in prepared:  # rows of like length together: padding can be cut off
            here = here[np.argsort(prepared["mask"][here].sum(1), kind="stable")]
        here = here if len(here) else np.array([0])  # one row tells the shapes
        found: dict[str, np.ndarray] = {}
        with torch.inference_mode(), using(threads):
            for cut in slices(len(here), step):
                rows = here[cut]
                _scatter(found, formed(**on_device(prepared, rows, device)), rows, len(real))
                progress.add(int(real[rows].sum()))
        yield place, _settled(found, real, dtype)


def on_device(
    arrays: Mapping[str, np.ndarray], rows: np.ndarray, device: torch.device
) -> dict[str, Tensor]:
    """Some rows of arrays, as tensors."""
    return {name: torch.from_numpy(array[rows]).to(device) for name, array in arrays.items()}


def _scatter(
    found: dict[str, np.ndarray], given: Mapping[str, Tensor], rows: np.ndarray, count: int
) -> None:
    """Put the arrays of some rows into arrays of ``count`` rows, made when they are first seen."""
    for name, value in given.items():
        plain = value.cpu().numpy()
        if name not in found:
            found[name] = np.zeros((count, *plain.shape[1:]), plain.dtype)
        # numpy would silently repeat a row of another shape
        found[name][rows] = plain.reshape(len(rows), *found[name].shape[1:])


def _settled(
    found: Mapping[str, np.ndarray], present: np.ndarray, dtype: type
) -> dict[str, np.ndarray]:
    """Arrays as they are stored: absent rows zero, floats of ``dtype``."""
    settled = {}
    for name, values in found.items():
        values[~present] = 0
        if name == "mask":
            values[~present, 0] = True
        with np.errstate(over="ignore"):
            small = values.astype(dtype) if values.dtype.kind == "f" else values
        if small.dtype.kind == "f" and not np.isfinite(small).all() and np.isfinite(values).all():
            raise OutOfRangeError
        settled[name] = small
    return settled
