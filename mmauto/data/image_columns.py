"""Columns of pictures, decoded when asked for: files, bytes on disk, or arrays in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmauto.data.columns import Rows, Samples

if TYPE_CHECKING:
    from PIL.Image import Image


def rgb(image: Image) -> Image:
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


class ImageFiles(Samples):
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

        if self.paths[index] is None:
            return None
        with Image.open(self.file(index)) as image:
            return rgb(image)

    def raw(self, index: int) -> bytes:
        """The sample's bytes; empty where it is missing."""
        path = self.paths[index]
        return b"" if path is None else path.read_bytes()

    def source(self, index: int) -> object:
        """Rows with the same source hold the same picture."""
        return self.paths[index]

    def file(self, index: int) -> Path:
        """What Pillow opens; only where the image is present."""
        path = self.paths[index]
        assert path is not None
        return path

    def without(self, rows: np.ndarray) -> ImageFiles:
        """The same column with the samples of ``rows`` ``(N,)`` bool missing."""
        return ImageFiles([None if off else p for p, off in zip(self.paths, rows, strict=True)])

    def take(self, rows: Rows) -> ImageFiles:
        """The same column with only ``rows``, in that order."""
        return ImageFiles([self.paths[row] for row in rows])


class ImageBlobs(Samples):
    """Images that came as bytes, in one file on disk, so that memory holds none of them.

    Args:
        path: as `write` left it.
        spans: ``(N, 2)`` start and end of each image in the file; equal where it is missing.
    """

    modality = "image"

    def __init__(self, path: Path, spans: np.ndarray):
        self.path, self.spans = path, spans

    @classmethod
    def write(cls, images: Sequence[bytes | None], folder: Path) -> ImageBlobs:
        """Keep ``images`` in a file named after their content; each different one once."""
        places: dict[bytes, tuple[int, int]] = {}
        total, end = hashlib.sha256(), 0
        spans = np.zeros((len(images), 2), dtype=np.int64)
        for row, image in enumerate(images):
            key = hashlib.sha256(image or b"").digest()
            total.update(key)
            if image and key not in places:
                places[key] = end, end + len(image)
                end += len(image)
            spans[row] = places.get(key, (0, 0))
        path = folder / f"{total.hexdigest()[:40]}.bin"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}.tmp")
            with fresh.open("wb") as file:
                for image in {hashlib.sha256(i).digest(): i for i in images if i}.values():
                    file.write(image)
            fresh.replace(path)
        return cls(path, spans)

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        return np.asarray(self.spans[:, 1] > self.spans[:, 0])

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Image | None:
        from PIL import Image

        if not self.present[index]:
            return None
        with Image.open(self.file(index)) as image:
            return rgb(image)

    def raw(self, index: int) -> bytes:
        """The sample's bytes; empty where it is missing."""
        start, end = self.spans[index]
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def source(self, index: int) -> object:
        """Rows with the same source hold the same picture."""
        return int(self.spans[index, 0])

    def file(self, index: int) -> BytesIO:
        """What Pillow opens; only where the image is present."""
        return BytesIO(self.raw(index))

    def take(self, rows: Rows) -> ImageBlobs:
        """The same column with only ``rows``, in that order."""
        return ImageBlobs(self.path, self.spans[np.asarray(rows, dtype=int)])

    def without(self, rows: np.ndarray) -> ImageBlobs:
        """The same column with the samples of ``rows`` ``(N,)`` bool missing."""
        return ImageBlobs(self.path, np.where(rows[:, None], 0, self.spans))


class ImageArrays(Samples):
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
