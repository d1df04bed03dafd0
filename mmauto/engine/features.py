"""From raw columns to the arrays that models read: states, frozen tokens, prepared arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from mmauto.contracts import Encoder, State
from mmauto.data.places import cache_limit
from mmauto.engine.cache import ArrayCache
from mmauto.engine.digests import code_digest, digest
from mmauto.engine.forms import shaped
from mmauto.engine.jobs import NOTE, Setup
from mmauto.engine.once import PLAIN, has_stem, once
from mmauto.engine.patience import patiently
from mmauto.engine.source import Source, sample_digests
from mmauto.engine.states import remembered_state
from mmauto.registry import Registry
from mmauto.space import Float, Params
from mmauto.values import Column, FeatureSpec

KEPT_SHARE = 0.25
"""Of a GPU's memory that arrays may hold which no trial reads just now."""

MAPPED = 32 << 30
"""Bytes of arrays on a CPU: they are mapped from the cache's files, which the system can drop."""


@dataclass(frozen=True)
class Inputs:
    """One modality as a model reads it, for all rows.

    Attributes:
        arrays: ``(N, ...)`` on the device: prepared arrays, those of a stem, or a frozen encoder's
            ``values`` ``(N, T, D)`` and ``mask`` ``(N, T)``.
        present: ``(N,)`` bool.
        spec: the tokens' shape.
        frozen: the arrays are tokens already.
        mean, scale: ``(D,)`` train statistics of frozen tokens; where the encoder is fine-tuned, of
            its tokens before.
        form: in which the part that runs once a sample has run; see `mmauto.engine.forms`.
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
    form: str = PLAIN

    @property
    def tuned(self) -> bool:
        """The encoder was frozen once, and its weights are the model's own now."""
        return self.mean is not None and not self.frozen

    def build(self) -> nn.Module:
        """A fresh module of the encoder."""
        return self.encoder.build(self.state, self.params)

    def once(self) -> nn.Module | None:
        """A fresh module of the part that runs once a sample, in its form; see `once`."""
        if self.tuned:
            return None
        module = once(self.encoder, self.state, self.params, self.present.device)
        if module is None:
            return None
        return shaped(module, self.form, self.prepare(np.arange(1)) if self.form != PLAIN else {})

    def prepare(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What the encoder's module reads for some rows, before any caching."""
        arrays = self.encoder.prepare(self.column.take(rows), self.state, self.params)
        return {
            name: torch.as_tensor(array).to(self.present.device) for name, array in arrays.items()
        }


class Features:
    """Makes `Inputs`, frozen tokens at most once a machine, and keeps those used last.

    Attributes:
        kept: bytes of them that are kept at most, the last ones whatever their size.

    Raises:
        ConfigError: the limit of the cache is no size.
    """

    def __init__(self, setup: Setup, registry: Registry, say: Callable[[str], None]):
        self.setup = setup
        self.registry = registry
        self.say = say
        self.device = torch.device(setup.device)
        self.cache = ArrayCache(Path(setup.cache), cache_limit(), self._waiting, setup.shelf)
        self.kept = keepable(self.device)
        self._made: dict[str, Inputs] = {}
        self._samples: dict[str, np.ndarray] = {}
        self._packs: dict[str, set[str]] = {}

    def together(self, chosen: Mapping[str, tuple[str, Params]]) -> dict[str, Inputs]:
        """The inputs of several columns, by key -> encoder and its parameters; see `inputs`.

        What another worker is making comes last, so that workers make different things.
        """
        found = {}
        for key, (name, params) in chosen.items():
            try:
                found[key] = self.inputs(key, name, params, wait=False)
            except Timeout:
                continue
        return {key: found.get(key) or self.inputs(key, *chosen[key]) for key in chosen}

    def inputs(self, key: str, name: str, params: Params, wait: bool = True) -> Inputs:
        """The inputs of column ``key`` through encoder ``name``.

        Args:
            params: the encoder's own; unknown ones are not tolerated by `Encoder.prepare`.
            wait: for another worker that makes them; otherwise raise filelock's Timeout.
        """
        encoder = self.registry.encoder(name)
        # what is read by the module alone changes no array
        shaping = {n: value for n, value in params.items() if n not in self._packing(encoder)}
        wanted = digest([key, name, shaping])
        if wanted not in self._made:
            self.cache.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.cache.folder / f"{wanted[:40]}.lock")
            with patiently(lock, self._waiting) if wait else lock.acquire(timeout=0):
                self._made[wanted] = self._make(key, encoder, params)
        return replace(self._latest(wanted), params=params)

    def _latest(self, wanted: str) -> Inputs:
        """What was made, as the last one used; what was used longest ago goes beyond `kept`."""
        found = self._made[wanted] = self._made.pop(wanted)
        sizes = {key: nbytes(part.arrays) for key, part in self._made.items()}
        total = sum(sizes.values())
        for key, size in list(sizes.items())[:-1]:
            if total <= self.kept:
                break
            del self._made[key]
            total -= size
        return found

    def _waiting(self) -> None:
        self.say("waiting for another worker that encodes")

    def _packing(self, encoder: Encoder) -> set[str]:
        if encoder.name not in self._packs:
            space = encoder.space(self.setup.task)
            self._packs[encoder.name] = {
                n for n, d in space.items() if isinstance(d, Float) and d.packs
            }
        return self._packs[encoder.name]

    def unfrozen(self, key: str, part: Inputs) -> Inputs:
        """The same modality as its encoder's module reads it, for training on the weights.

        Args:
            part: of `inputs`, with a frozen encoder.
        """
        wanted = digest([key, part.encoder.name, dict(part.params), "unfrozen"])
        if wanted not in self._made:
            source = self._source(key, part.encoder, part.params, part.state)
            about = self._about(part.column, part.encoder, part.params)
            about |= {"state": digest(part.state), "product": "prepared", "form": PLAIN}
            kept = source.prepared(self.cache, about, self._samples[key])
            self._made[wanted] = replace(
                part, arrays=self._on_device(kept), frozen=False, form=PLAIN
            )
        return self._latest(wanted)

    def _make(self, key: str, encoder: Encoder, params: Params) -> Inputs:
        column = self.setup.dataset.columns[key]
        if key not in self._samples:
            self._samples[key] = sample_digests(column)
        state = self._state(key, encoder, params)
        for note in state.get("notes", ()):
            self.say(f"{NOTE}{encoder.name} ({key}): {note}")
        source = self._source(key, encoder, params, state)
        about = {**self._about(column, encoder, params), "state": digest(state)}
        form = source.form(self.cache, about, self._samples[key])
        kept = source.arrays(self.cache, {**about, "form": form}, self._samples[key], form)
        arrays = self._on_device(kept)
        frozen, spec = encoder.frozen(params), encoder.features(state, params)
        present = torch.from_numpy(column.present).to(self.device)
        mean = scale = None
        if frozen:
            mean, scale = self._statistics(arrays, present)
        return Inputs(
            column, encoder, params, state, arrays, present, spec, frozen, mean, scale, form
        )

    def _state(self, key: str, encoder: Encoder, params: Params) -> State:
        train, column = self.setup.splits.train, self.setup.dataset.columns[key]

        def fit() -> State:
            return encoder.fit(column.take(train), params)

        if not encoder.remembered:
            return fit()
        samples = digest(self._samples[key][train])
        about = {**self._about(column, encoder, params), "train": samples}
        return remembered_state(self.cache.folder, about, fit)

    def _source(self, key: str, encoder: Encoder, params: Params, state: State) -> Source:
        column = self.setup.dataset.columns[key]
        threads = self.setup.encoding_threads
        return Source(key, column, encoder, params, state, self.device, threads, self.say)

    def _on_device(self, kept: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array).to(self.device) for name, array in kept.items()}

    def _about(self, column: Column, encoder: Encoder, params: Params) -> dict[str, Any]:
        """All that arrays depend on but the samples, the state and the form."""
        frozen = encoder.frozen(params)
        return {
            "modality": column.modality,
            "fields": [list(field) for field in column.fields.items()],
            "encoder": encoder.name,
            "version": self.registry.version_of("encoder", encoder.name),
            "code": code_digest(encoder),
            "params": {n: v for n, v in params.items() if n not in self._packing(encoder)},
            "product": "tokens" if frozen else "stem" if has_stem(encoder) else "prepared",
            "torch": torch.__version__,
            "device": self.device.type,
        }

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


def keepable(device: torch.device) -> int:
    """Bytes of arrays that are kept for later trials: a share of a GPU, or of memory maps."""
    if device.type != "cuda":
        return MAPPED
    return int(KEPT_SHARE * torch.cuda.get_device_properties(device).total_memory)


def nbytes(arrays: Mapping[str, Tensor]) -> int:
    """Bytes of all of them."""
    return sum(array.numel() * array.element_size() for array in arrays.values())
