"""Columns as they are on a bad day: noisy, blurred or covered pictures, torn texts, wrong numbers.

A corruption has a severity from 0 (as it was) to 1, and draws for each sample from the sample's own
place and a seed: the same rows are spoilt in the same way for every arm. Kinds and severities
follow Hendrycks and Dietterich 2019 (ICLR) for pictures, and Belinkov and Bisk 2018 (ICLR) for
texts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.data.columns import Rows, Samples, TabularValues
from mmauto.values import Column

if TYPE_CHECKING:
    from PIL.Image import Image

NOISE = 80.0
"""Standard deviation of the noise at severity 1, in grey levels of 256."""
BLUR = 0.06
"""Radius of the blur at severity 1, of a picture's longer side."""
COVER = 0.8
"""Side of the grey square at severity 1, of a picture's sides: 64 % of the area."""
TORN = 0.8
"""Share of words dropped, and of letters mistyped, at severity 1."""
DEVIATIONS = 2.0
"""Noise on numbers at severity 1, in standard deviations of the column."""
MIXED = 0.8
"""Share of categories drawn from other rows at severity 1."""

Spoil = Callable[[Any, float, np.random.Generator], Any]


class Corrupted(Samples):
    """A column whose samples are spoilt when asked for; missing ones stay missing.

    Args:
        column: pictures or texts.
        spoil: gives a sample as it is at a severity.
        places: ``(N,)`` what each sample's draws depend on; its place by default.
    """

    def __init__(
        self,
        column: Column,
        spoil: Spoil,
        severity: float,
        seed: int,
        places: np.ndarray | None = None,
    ):
        self.column, self.spoil, self.severity, self.seed = column, spoil, severity, seed
        self.places = np.arange(len(column)) if places is None else places
        self.modality = column.modality  # type: ignore[misc]
        self.fields = column.fields

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""
        return self.column.present

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, index: int) -> Any:
        sample = self.column[index]
        if sample is None or self.severity == 0:
            return sample
        return self.spoil(
            sample, self.severity, np.random.default_rng((self.seed, self.places[index]))
        )

    def raw(self, index: int) -> bytes:
        """Of the sample as it was, with what was done to it."""
        about = f"{self.spoil.__name__} {self.severity} {self.seed} {self.places[index]} "
        return f"{about}{index} {self._whole}".encode() if self.present[index] else b""

    @cached_property
    def _whole(self) -> str:
        return self.column.digest()

    def take(self, rows: Rows) -> Corrupted:
        """The same column with only ``rows``, each spoilt as it was."""
        places = self.places[np.asarray(rows, dtype=int)]
        return Corrupted(self.column.take(rows), self.spoil, self.severity, self.seed, places)


def corrupted(column: Column, kind: str, severity: float, seed: int = 0) -> Column:
    """The column under one of `KINDS` of its modality."""
    spoil = KINDS[column.modality][kind]
    if isinstance(column, TabularValues):
        return _numbers(column, severity, seed)
    return Corrupted(column, spoil, severity, seed)


def noisy(image: Image, severity: float, source: np.random.Generator) -> Image:
    """Gaussian noise on each pixel."""
    from PIL import Image as Pictures

    pixels = np.asarray(image, dtype=np.float32)
    spoilt = pixels + source.normal(0, NOISE * severity, pixels.shape)
    return Pictures.fromarray(spoilt.clip(0, 255).astype(np.uint8))


def blurred(image: Image, severity: float, source: np.random.Generator) -> Image:
    """A Gaussian blur."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(BLUR * severity * max(image.size)))


def covered(image: Image, severity: float, source: np.random.Generator) -> Image:
    """A grey rectangle somewhere (cutout, DeVries and Taylor 2017)."""
    sides = [max(1, round(COVER * severity * side)) for side in image.size]
    left, top = (
        int(source.integers(0, side - own + 1)) for side, own in zip(image.size, sides, strict=True)
    )
    found = image.copy()
    found.paste((127, 127, 127), (left, top, left + sides[0], top + sides[1]))
    return found


def dropped(text: str, severity: float, source: np.random.Generator) -> str:
    """Words are missing; one at least is left."""
    words = text.split()
    kept = [word for word in words if source.random() >= TORN * severity]
    return " ".join(kept or words[:1])


def mistyped(text: str, severity: float, source: np.random.Generator) -> str:
    """In some words, two letters change places, one is lost, doubled or another one."""

    def spoil(found: re.Match[str]) -> str:
        word = found[0]
        if len(word) < 2 or source.random() >= TORN * severity:
            return word
        at = int(source.integers(0, len(word) - 1))
        letter = string.ascii_lowercase[source.integers(26)]
        middle = [word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1],
                  letter + word[at + 1]][source.integers(4)]  # fmt: skip
        return word[:at] + middle + word[at + 2 :]

    return re.sub(r"\w+", spoil, text)


def _numbers(column: TabularValues, severity: float, seed: int) -> TabularValues:
    """Noise on numbers, and categories of other rows; what is missing stays missing."""
    source = np.random.default_rng(seed)
    values = {}
    for name, kind in column.fields.items():
        old = column.values[name]
        if kind == "numeric":
            spread = float(np.nanstd(old)) if np.isfinite(old).any() else 0.0
            values[name] = old + source.normal(0, 1, len(old)) * DEVIATIONS * severity * spread
        else:
            there = np.array([value is not None for value in old], dtype=bool)
            strange = there & (source.random(len(old)) < MIXED * severity)
            values[name] = old.copy()
            values[name][strange] = (
                source.choice(old[there], int(strange.sum())) if there.any() else None
            )
    return TabularValues(values, column.fields)


KINDS: Mapping[str, Mapping[str, Spoil]] = {
    "image": {"noise": noisy, "blur": blurred, "occlusion": covered},
    "text": {"dropped words": dropped, "typos": mistyped},
    "tabular": {"noise": lambda sample, severity, source: sample},
}
"""Modality -> what can be done to it; a modality that is not there is left as it is."""
