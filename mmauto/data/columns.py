"""Lazy samples: a column knows its raw samples and decodes one when asked for it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Rows = Sequence[int] | np.ndarray


class _Samples(ABC):
    """What all columns share: length, iteration, and a digest over samples and their order."""

    modality: ClassVar[str]
    fields: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Any: ...

    @abstractmethod
    def raw(self, index: int) -> bytes:
        """The bytes that identify a sample; empty where it is missing."""

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def digest(self) -> str:
        """A SHA-256 over every sample's bytes, in order: another content is another digest."""
        total = hashlib.sha256(f"{self.modality}:{list(self.fields.items())}".encode())
        for index in range(len(self)):
            total.update(hashlib.sha256(self.raw(index)).digest())
        return total.hexdigest()


def _rgb(image: Image) -> Image:
    """8-bit RGB. Deeper greys (16-bit radiographs) are stretched from their darkest to their
    brightest pixel, which Pillow would clip; transparent pictures are laid on white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = values.min(), values.max()
        values = (values - low) * (255.0 / ((high - low) or 1.0))
        return Image.fromarray(values.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


class ImageFiles(_Samples):
    """Images in files, decoded to RGB when asked for.

    Args:
        paths: a file each, or None where the image is missing.
    """

    modality = "image"

    def __init__(self, paths: Sequence[Path | None]):
        self.paths = list(paths)

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        return np.array([path is not None for path in self.paths], dtype=bool)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image | None:
        from PIL import Image

        path = self.paths[index]
        if path is None:
            return None
        with Image.open(path) as image:
            return _rgb(image)

    def raw(self, index: int) -> bytes:
        """The sample's bytes; empty where it is missing."""
        path = self.paths[index]
        return b"" if path is None else path.read_bytes()

    def take(self, rows: Rows) -> ImageFiles:
        """The same column with only ``rows``, in that order."""
        return ImageFiles([self.paths[row] for row in rows])


class ImageArrays(_Samples):
    """Images in memory: ``(N, H, W)`` grey or ``(N, H, W, 3)`` RGB, uint8."""

    modality = "image"

    def __init__(self, values: np.ndarray, present: np.ndarray | None = None):
        self.values = values
        self._present = np.ones(len(values), dtype=bool) if present is None else present

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        return self._present

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Image | None:
        from PIL import Image

        return Image.fromarray(self.values[index]).convert("RGB") if self._present[index] else None

    def raw(self, index: int) -> bytes:
        """The sample's bytes; empty where it is missing."""
        value = self.values[index]
        return repr(value.shape).encode() + value.tobytes() if self._present[index] else b""

    def take(self, rows: Rows) -> ImageArrays:
        """The same column with only ``rows``, in that order."""
        keep = np.asarray(rows, dtype=int)
        return ImageArrays(self.values[keep], self._present[keep])


class Texts(_Samples):
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
        return Texts([self.values[row] for row in rows])


class TabularValues(_Samples):
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
