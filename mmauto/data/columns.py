"""Lazy samples: a column knows its raw samples and decodes one when asked for it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

Rows = Sequence[int] | np.ndarray


class Samples(ABC):
    """What all columns share: length, iteration, and a digest over samples and their order."""

    modality: ClassVar[str]
    fields: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Any: ...

    @property
    @abstractmethod
    def present(self) -> np.ndarray:
        """``(N,)`` bool, False where a sample is missing."""

    @abstractmethod
    def take(self, rows: Rows) -> Samples:
        """The same column with only ``rows``, in that order."""

    @abstractmethod
    def raw(self, index: int) -> bytes:
        """The bytes that identify a sample; empty where it is missing."""

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def digest(self) -> str:
        """A SHA-256 over every sample's bytes, in order: another content is another digest."""
        total = hashlib.sha256(f"{self.modality}:{list(self.fields.items())}".encode())
        total.update(self.digests().tobytes())
        return total.hexdigest()

    def digests(self) -> np.ndarray:
        """``(N, 32)`` uint8, a SHA-256 of each sample's bytes."""
        found = [hashlib.sha256(self.raw(index)).digest() for index in range(len(self))]
        return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, 32)


class Texts(Samples):
    """Strings; None where the text is missing."""

    modality = "text"

    def __init__(self, values: Sequence[str | None]):
        self.values = list(values)

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        return np.array([value is not None for value in self.values], dtype=bool)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> str | None:
        return self.values[index]

    def raw(self, index: int) -> bytes:
        """The sample's bytes; empty where it is missing."""
        value = self.values[index]
        return b"" if value is None else b"t" + value.encode("utf-8", "surrogatepass")

    def take(self, rows: Rows) -> Texts:
        """The same column with only ``rows``, in that order."""
        return type(self)([self.values[row] for row in rows])


DOMAIN = "domain"
"""The key of a data set's domains among its columns."""


class Domains(Texts):
    """Where each row comes from, e.g. a hospital: chooses a domain adapter, and is no input."""

    modality = DOMAIN


class TabularValues(Samples):
    """Numbers and categories by field; a row is missing where all its fields are.

    Args:
        values: field -> ``(N,)`` floats (NaN: missing) or strings (None: missing).
        fields: field -> ``"numeric"`` or ``"categorical"``.
    """

    modality = "tabular"

    def __init__(self, values: Mapping[str, np.ndarray], fields: Mapping[str, str]):
        self.values = dict(values)
        self.fields = dict(fields)

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        known = [
            ~np.isnan(self.values[name])
            if kind == "numeric"
            else np.array([value is not None for value in self.values[name]], dtype=bool)
            for name, kind in self.fields.items()
        ]
        return np.asarray(np.array(known).any(axis=0))

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, index: int) -> dict[str, float | str | None] | None:
        row: dict[str, float | str | None] = {}
        for name, kind in self.fields.items():
            value = self.values[name][index]
            if kind == "numeric":
                row[name] = None if np.isnan(value) else float(value)
            else:
                row[name] = None if value is None else str(value)
        return None if all(value is None for value in row.values()) else row

    def raw(self, index: int) -> bytes:
        """The row's values as text."""
        return repr(self[index]).encode()

    def take(self, rows: Rows) -> TabularValues:
        """The same column with only ``rows``, in that order."""
        keep = np.asarray(rows, dtype=int)
        return TabularValues({k: v[keep] for k, v in self.values.items()}, self.fields)
