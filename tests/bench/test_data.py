"""The generated table: the same for the same seed, and learnable."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from mmauto.bench.data import CLASSES, make_table


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    one, two, other = (
        make_table(tmp_path / name, 6, (40, 48), seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.read_text() == two.read_text() != other.read_text()
    for row in read(one):
        with Image.open(one.parent / row["image"]) as picture:
            assert picture.format == "JPEG"
            assert all(40 <= side <= 48 for side in picture.size)
        pair = [(table.parent / row["image"]).read_bytes() for table in (one, two)]
        assert pair[0] == pair[1]


def test_texts_say_something_about_the_label(tmp_path: Path) -> None:
    rows = read(make_table(tmp_path / "data", 200, (16, 16)))
    votes = np.zeros((len(rows), CLASSES))
    for place, row in enumerate(rows):
        for word in row["text"].split():
            kind = int(word.removeprefix("word")) % (4 * CLASSES)
            if kind < CLASSES:
                votes[place, kind] += 1
    right = [
        f"class {vote}" == row["label"] for vote, row in zip(votes.argmax(1), rows, strict=True)
    ]
    assert 0.5 < np.mean(right) < 0.95
