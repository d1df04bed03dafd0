"""One column through one encoder: what fills an entry of the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from mmauto.contracts import Encoder, State
from mmauto.data.columns import Samples
from mmauto.engine.cache import ArrayCache, Arrays, Part
from mmauto.engine.convolution import has_bf16
from mmauto.engine.encode import OutOfRangeError, Progress, encoded, on_device
from mmauto.engine.forms import FEW, SAMPLE, chosen, remembered, shaped
from mmauto.engine.once import BF16, FOLDED, PLAIN, Formed, has_stem, once, slices
from mmauto.space import Params
from mmauto.values import Column

PREPARE_ROWS = 8192
PREPARE_IMAGES = 512
"""So many rows are prepared at once, so that memory stays bounded whatever the table's length."""

FORMS = (PLAIN, FOLDED, BF16) if has_bf16() else (PLAIN, FOLDED)
DTYPES = ("float16", "float32")
"""In which frozen tokens are stored, the second where values leave the first one's range."""


def chunk_of(column: Column) -> int:
    """Rows of a column that are prepared at once: pictures are large."""
    return PREPARE_IMAGES if column.modality == "image" else PREPARE_ROWS


def sample_digests(column: Column) -> np.ndarray:
    """``(N, 32)`` uint8, what tells samples apart; zeros where they are missing.

    A column that knows no digest of a single sample is known as a whole or not at all.
    """
    if isinstance(column, Samples):
        found = column.digests().copy()
    else:
        whole = column.digest()
        rows = [hashlib.sha256(f"{whole}:{row}".encode()).digest() for row in range(len(column))]
        found = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, 32).copy()
    found[~column.present] = 0
    return found


@dataclass(frozen=True)
class Source:
    """A column and a fitted encoder.

    Attributes:
        key: of the column, as it is called to the user.
        threads: torch threads while encoding.
        say: receives sentences on how far it is.
    """

    key: str
    column: Column
    encoder: Encoder
    params: Params
    state: State
    device: torch.device
    threads: int
    say: Callable[[str], None]

    def form(self, cache: ArrayCache, about: Mapping[str, Any], samples: np.ndarray) -> str:
        """The form in which the part that runs once a sample is to run.

        That of most rows, if they are in the cache already: a table that has grown, or a search
        with more workers, would else have them encoded anew.

        Args:
            cache: beside whose entries measured forms are kept, too.
            about: the ingredients of the cache's key, but for form and type.
            samples: ``(N, 32)`` of the column, see `sample_digests`.
        """
        here = np.flatnonzero(self.column.present)
        # on CUDA bfloat16 is always taken, see `precision`
        if not self.runs_once or self.device.type != "cpu":
            return PLAIN
        for form in FORMS if len(here) else ():
            made = ({**about, "form": form, "dtype": dtype} for dtype in DTYPES)
            if any(2 * cache.known(one, samples[here]) >= len(here) for one in made):
                return form
        if len(here) < FEW:
            return PLAIN

        def measure() -> tuple[str, dict[str, float]]:
            if self.module is None:
                return PLAIN, {}
            self.say(f"measuring how {self.encoder.name} runs fastest")
            rows = here[np.linspace(0, len(here) - 1, SAMPLE).astype(int)]
            arrays = on_device(self._prepare(rows), np.arange(len(rows)), self.device)
            return chosen(self.module, arrays, self.threads)

        return remembered(cache.folder, about, measure, self.threads)

    def arrays(
        self, cache: ArrayCache, about: Mapping[str, Any], samples: np.ndarray, form: str
    ) -> Arrays:
        """The arrays of every row, memory-mapped, out of the cache or made now.

        Frozen tokens are stored in half precision; the few encoders whose values leave its range
        keep their own.
        """
        if not self.runs_once:
            return self.prepared(cache, about, samples)
        half, full = ({**about, "dtype": dtype} for dtype in DTYPES)
        for known in (half, full):
            if (found := cache.find(known, samples)) is not None:
                return found
        try:
            return cache.get(half, samples, partial(self._encoded, form, np.float16))
        except OutOfRangeError:
            return cache.get(full, samples, partial(self._encoded, form, np.float32))

    def prepared(self, cache: ArrayCache, about: Mapping[str, Any], samples: np.ndarray) -> Arrays:
        """What the encoder's module reads of every row, memory-mapped; see `arrays`."""
        return cache.get(about, samples, self._prepared)

    @property
    def runs_once(self) -> bool:
        """Whether a part of the encoder runs once a sample, as far as is known without it."""
        return self.encoder.frozen(self.params) or has_stem(self.encoder)

    @cached_property
    def module(self) -> nn.Module | None:
        """That part, in evaluation mode; None where these parameters need none."""
        return once(self.encoder, self.state, self.params, self.device)

    def _prepare(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        arrays = self.encoder.prepare(self.column.take(rows), self.state, self.params)
        return {name: np.asarray(array) for name, array in arrays.items()}

    def _parts(self, rows: np.ndarray) -> Iterator[Part]:
        for cut in slices(len(rows), chunk_of(self.column)):
            yield rows[cut], self._prepare(rows[cut])

    def _prepared(self, rows: np.ndarray) -> Iterator[Part]:
        progress = self._progress("preparing {} for {}", rows)
        for place, arrays in self._parts(rows):
            yield place, arrays
            progress.add(int(self.column.present[place].sum()))

    def _encoded(self, form: str, dtype: type, rows: np.ndarray) -> Iterator[Part]:
        module = self.module
        if module is None:
            yield from self._prepared(rows)
            return

        def formed(first: Mapping[str, np.ndarray]) -> Formed:
            return shaped(module, form, on_device(first, np.arange(1), self.device))

        progress = self._progress("encoding {} with {}", rows)
        present = self.column.present
        parts = self._parts(rows)
        yield from encoded(formed, parts, present, self.device, dtype, progress, self.threads)

    def _progress(self, what: str, rows: np.ndarray) -> Progress:
        present = self.column.present
        total = int(present[rows].sum())
        text = what.format(self.key, self.encoder.name)
        return Progress(self.say, text, total, int(present.sum()) - total)
