"""From raw columns to the arrays that models read: states, frozen tokens, prepared arrays."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmauto.contracts import Encoder, State
from mmauto.engine.cache import ArrayCache, Part, digest
from mmauto.engine.jobs import NOTE, Setup
from mmauto.registry import Registry
from mmauto.space import Params
from mmauto.values import Column, FeatureSpec, Tokens

ENCODE_BATCH = 128
PREPARE_ROWS = 8192
PREPARE_IMAGES = 512
"""So many rows are prepared at once, so that memory stays bounded whatever the table's length."""


class OutOfRangeError(Exception):
    """A token leaves float16's range."""


def slices(total: int, size: int) -> list[slice]:
    """``total`` rows in parts of at most ``size``."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def chunk_of(column: Column) -> int:
    """Rows of a column that are prepared at once: pictures are large."""
    return PREPARE_IMAGES if column.modality == "image" else PREPARE_ROWS


@dataclass(frozen=True)
class Inputs:
    """One modality as a model reads it, for all rows.

    Attributes:
        arrays: ``(N, ...)`` on the device: prepared arrays, those of a stem, or a frozen encoder's
            ``values`` ``(N, T, D)`` and ``mask`` ``(N, T)``.
        present: ``(N,)`` bool.
        spec: the tokens' shape.
        frozen: the arrays are tokens already.
        mean, scale: ``(D,)`` train statistics of frozen tokens.
    """

    column: Column
    encoder: Encoder
    params: Params
    state: State
    arrays: Mapping[str, Tensor]
    present: Tensor
    spec: FeatureSpec
    frozen: bool
    mean: Tensor | None = None
    scale: Tensor | None = None

    def build(self) -> nn.Module:
        """A fresh module of the encoder."""
        return self.encoder.build(self.state, self.params)

    def once(self) -> nn.Module | None:
        """A fresh module of the part that runs once a sample, in evaluation mode; see `once`."""
        return once(self.encoder, self.state, self.params, self.present.device)

    def prepare(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What the encoder's module reads for some rows, before any caching."""
        arrays = self.encoder.prepare(self.column.take(rows), self.state, self.params)
        return {
            name: torch.as_tensor(array).to(self.present.device) for name, array in arrays.items()
        }


def once(encoder: Encoder, state: State, params: Params, device: torch.device) -> nn.Module | None:
    """What need not run again in every epoch: a frozen encoder as a whole, or its stem."""
    module = encoder.build(state, params) if encoder.frozen(params) else encoder.stem(state, params)
    return None if module is None else module.to(device).eval()


def named(found: Tokens | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `once`'s module gives, as arrays by name."""
    if isinstance(found, Tokens):
        return {"values": found.values, "mask": found.mask}
    return dict(found)


class Features:
    """Makes `Inputs`, each at most once a process, and frozen tokens at most once a machine."""

    def __init__(self, setup: Setup, registry: Registry, say: Callable[[str], None]):
        self.setup = setup
        self.registry = registry
        self.say = say
        self.device = torch.device(setup.device)
        self.cache = ArrayCache(Path(setup.cache))
        self._made: dict[str, Inputs] = {}
        self._digests: dict[str, str] = {}

    def inputs(self, key: str, name: str, params: Params) -> Inputs:
        """The inputs of column ``key`` through encoder ``name``.

        Args:
            params: the encoder's own; unknown ones are not tolerated by `Encoder.prepare`.
        """
        wanted = digest([key, name, dict(params)])
        if wanted not in self._made:
            self._made[wanted] = self._make(key, self.registry.encoder(name), params)
        return self._made[wanted]

    def _make(self, key: str, encoder: Encoder, params: Params) -> Inputs:
        column = self.setup.dataset.columns[key]
        state = encoder.fit(column.take(self.setup.splits.train), params)
        for note in state.get("notes", ()):
            self.say(f"{NOTE}{encoder.name} ({key}): {note}")
        frozen = encoder.frozen(params)

        def prepared() -> Iterator[Part]:
            for rows in slices(len(column), chunk_of(column)):
                part = column.take(np.arange(rows.start, rows.stop))
                arrays = encoder.prepare(part, state, params)
                yield rows, {name: np.asarray(array) for name, array in arrays.items()}

        def computed(dtype: type = np.float16) -> Iterator[Part]:
            module = once(encoder, state, params, self.device)
            if module is None:
                return prepared()
            return self._encode(key, encoder.name, module, prepared(), dtype)

        whole, rows = self._key(key, encoder, state, params, frozen), len(column)
        try:
            kept = self.cache.get(whole, rows, computed)
        except OutOfRangeError:
            # the few encoders whose values leave float16's range keep their own precision
            kept = self.cache.get(whole, rows, partial(computed, np.float32))
        arrays = {name: torch.from_numpy(array).to(self.device) for name, array in kept.items()}
        spec = encoder.features(state, params)
        present = torch.from_numpy(column.present).to(self.device)
        mean = scale = None
        if frozen:
            mean, scale = self._statistics(arrays, present)
        return Inputs(column, encoder, params, state, arrays, present, spec, frozen, mean, scale)

    def _key(
        self, key: str, encoder: Encoder, state: State, params: Params, frozen: bool
    ) -> dict[str, Any]:
        if key not in self._digests:
            self._digests[key] = self.setup.dataset.columns[key].digest()
        return {
            "column": self._digests[key],
            "rows": digest([str(row) for row in self.setup.dataset.ids]),
            "encoder": encoder.name,
            "version": self.registry.version_of("encoder", encoder.name),
            "code": code_digest(encoder),
            "params": dict(params),
            "state": digest(state),
            "product": "tokens" if frozen else "stem" if has_stem(encoder) else "prepared",
            "dtype": "float16" if frozen or has_stem(encoder) else "native",
            "torch": torch.__version__,
            "device": self.device.type,
        }

    def _encode(
        self,
        key: str,
        name: str,
        module: nn.Module,
        parts: Iterable[Part],
        dtype: type,
    ) -> Iterator[Part]:
        """Frozen tokens, or a stem's arrays, part by part; absent rows stay zero.

        Their ``mask``, where there is one, has one real position.
        """
        present, done = self.setup.dataset.columns[key].present, 0
        total = int(present.sum())
        for place, prepared in parts:
            here = np.flatnonzero(present[place])
            if "mask" in prepared:  # rows of like length together: padding can be cut off
                here = here[np.argsort(prepared["mask"][here].sum(1), kind="stable")]
            here = here if len(here) else np.array([0])  # one row tells the shapes
            found: dict[str, np.ndarray] = {}
            with torch.inference_mode(), all_cores(), precision(self.device):
                for cut in slices(len(here), ENCODE_BATCH):
                    self.say(f"encoding {key} with {name}: {done} of {total}")
                    rows = here[cut]
                    batch = {
                        name: torch.from_numpy(array[rows]).to(self.device)
                        for name, array in prepared.items()
                    }
                    _scatter(found, named(module(**batch)), rows, len(present[place]))
                    done += len(rows)
            yield place, _settled(found, present[place], dtype)

    def _statistics(self, arrays: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale of train tokens; a rare feature's scale is shrunk towards the others'.

        Dividing by a feature's own deviation alone blows up features that are almost constant
        (a word seen once), which then dominate the first layer.
        """
        train = torch.from_numpy(self.setup.splits.train).to(self.device)
        train = train[present[train]]
        real = arrays["values"][train].float()[arrays["mask"][train]]
        if not len(real):
            dim = arrays["values"].shape[-1]
            return torch.zeros(dim, device=self.device), torch.ones(dim, device=self.device)
        variance = real.var(0, unbiased=False)
        shared = 0.5 * variance + 0.5 * variance.mean()
        return real.mean(0), shared.sqrt().clamp(min=1e-6)


def _scatter(
    found: dict[str, np.ndarray], given: Mapping[str, Tensor], rows: np.ndarray, count: int
) -> None:
    """Put the arrays of some rows into arrays of ``count`` rows, made when they are first seen."""
    for name, value in given.items():
        plain = (value.float() if value.is_floating_point() else value).cpu().numpy()
        if name not in found:
            found[name] = np.zeros((count, *plain.shape[1:]), plain.dtype)
        found[name][rows] = plain


def _settled(
    found: Mapping[str, np.ndarray], present: np.ndarray, dtype: type
) -> dict[str, np.ndarray]:
    """Arrays as they are stored: absent rows zero, floats of ``dtype``.

    Raises:
        OutOfRangeError: a finite value is not finite in ``dtype``.
    """
    settled = {}
    for name, values in found.items():
        values[~present] = 0
        if name == "mask":
            values[~present, 0] = True
        small = values.astype(dtype) if values.dtype.kind == "f" else values
        if small.dtype.kind == "f" and not np.isfinite(small).all() and np.isfinite(values).all():
            raise OutOfRangeError
        settled[name] = small
    return settled


def has_stem(encoder: Encoder) -> bool:
    """Whether the encoder may have a stem; building one to know would load weights."""
    return type(encoder).stem is not Encoder.stem


def code_digest(encoder: Encoder) -> str:
    """A digest of the sources of the encoder's package: changed code is another key.

    The whole package, since a component may keep its preprocessing in a module beside its own.
    """
    module = inspect.getmodule(type(encoder))
    origin = Path(getattr(module, "__file__", None) or "")
    if not origin.is_file():
        return repr(type(encoder))  # typed into a notebook: there is no file to read
    packaged = bool(getattr(module, "__package__", ""))
    files = sorted(origin.parent.glob("*.py")) if packaged else [origin]
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


@contextmanager
def all_cores() -> Iterator[None]:
    """Encoding is heavy enough for every core; training of small heads is not."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precision(device: torch.device) -> torch.autocast:
    """bf16 where the device has it; full precision on a CPU."""
    enabled = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
