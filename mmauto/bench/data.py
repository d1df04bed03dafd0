"""The data of the benchmark: pictures, short texts and labels on disk, drawn from a seed."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

CLASSES = 5
WORDS = 400
WORDS_A_TEXT = 20
WEIGHT = 6.0
"""How much more often a text holds a word of its own class than one of another class."""
CONTRAST = 20.0
"""Of the stripes, in grey levels; their angle is the class."""
TABLE = "table.csv"


def make_table(folder: Path, rows: int, pixels: tuple[int, int], seed: int = 0) -> Path:
    """Write ``table.csv`` (image, text, label) and its JPEG pictures; the table's path.

    Both modalities say something about the label and neither says all.

    Args:
        pixels: least and greatest side of a picture.
    """
    from PIL import Image

    source = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "text", "label"])
        for row in range(rows):
            label = int(source.integers(CLASSES))
            width, height = source.integers(pixels[0], pixels[1] + 1, size=2)
            path = f"images/{row}.jpg"
            picture = Image.fromarray(_picture(source, label, int(width), int(height)))
            picture.save(folder / path, quality=90)
            table.writerow([path, _text(source, label), f"class {label}"])
    return folder / TABLE


def _picture(source: np.random.Generator, label: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: coloured blobs and grain, and stripes at the label's angle."""
    from PIL import Image

    blobs = source.integers(40, 216, size=(8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))
    angle = math.pi * label / CLASSES + source.normal(0, 0.2)
    down, across = np.mgrid[:height, :width]
    wave = np.sin((across * math.cos(angle) + down * math.sin(angle)) * 0.25 + source.random() * 6)
    grain = source.normal(0, 12, size=(height, width, 3))
    picture: np.ndarray = smooth + CONTRAST * wave[..., None] + grain
    return picture.clip(0, 255).astype(np.uint8)


def _text(source: np.random.Generator, label: int) -> str:
    chances = np.where(np.arange(WORDS) % (4 * CLASSES) == label, WEIGHT, 1.0)
    words = source.choice(WORDS, size=WORDS_A_TEXT, p=chances / chances.sum())
    return " ".join(f"word{word}" for word in words)
