"""Pictures are decoded once, and looks are remembered by the pictures' bytes alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmauto.data import looks
from mmauto.data.image_columns import ImageFiles
from mmauto.data.looks import Look, looks_of


@pytest.fixture
def column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageFiles:
    monkeypatch.setenv("MMAUTO_CACHE", str(tmp_path / "cache"))
    source = np.random.default_rng(0)
    paths = [tmp_path / f"{place}.png" for place in range(4)]
    for path in paths:
        pixels = source.integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    Image.new("RGB", (9, 9), "red").save(paths[1])  # too plain for a perceptual hash
    paths[2].write_text("no picture")
    return ImageFiles([*paths, None, tmp_path / "gone.png", paths[0]])


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    seen: list[bytes] = []
    really = looks.look_at

    def look_at(raw: bytes) -> Look:
        seen.append(raw)
        return really(raw)

    monkeypatch.setattr(looks, "look_at", look_at)
    return seen


def plain(found: list[Look | None]) -> list[object]:
    return [one and (one.wrong, one.pixels, listed(one.shape), listed(one.thumb)) for one in found]


def listed(array: np.ndarray | None) -> object:
    return None if array is None else array.tolist()


def test_the_second_time_only_broken_pictures_are_decoded(
    column: ImageFiles, decoded: list[bytes]
) -> None:
    first = looks_of(column, "here")
    assert len(decoded) == 4  # a file that two rows share is read once, a lost one never
    decoded.clear()
    assert plain(looks_of(column, "here")) == plain(first)
    assert decoded == [b"no picture"]
    assert [None if one is None else one.wrong for one in first] == [
        "", "", "cannot be decoded", "", None, "not found", "",
    ]  # fmt: skip
    assert first[0] is not None
    assert first[1] is not None
    assert first[0].shape is not None
    assert first[1].shape is None
    assert first[1].thumb is not None
    assert first[1].thumb.reshape(-1, 3).tolist() == [[255, 0, 0]] * 64


def test_a_changed_picture_of_the_same_name_is_decoded(
    column: ImageFiles, decoded: list[bytes]
) -> None:
    first = looks_of(column, "here")
    decoded.clear()
    Image.new("RGB", (9, 9), "blue").save(column.file(1))
    second = looks_of(column, "here")
    assert column.raw(1) in decoded
    assert plain(second)[1] != plain(first)[1]
    assert plain(second)[0] == plain(first)[0]


def test_a_damaged_memory_is_no_trouble(column: ImageFiles, decoded: list[bytes]) -> None:
    first = looks_of(column, "here")
    (file,) = looks.feature_folder().glob(f"{looks.LOOKS}/*.npz")
    for damage in (b"", b"PK" + b"x" * 300, file.read_bytes()[:-40]):
        file.write_bytes(damage)
        assert plain(looks_of(column, "here")) == plain(first)


def test_prediction_on_other_rows_forgets_nothing(
    column: ImageFiles, decoded: list[bytes], tmp_path: Path
) -> None:
    looks_of(column, "here")
    Image.new("RGB", (5, 5), "green").save(tmp_path / "new.png")
    looks_of(ImageFiles([tmp_path / "new.png"]), "here")
    decoded.clear()
    looks_of(column, "here")
    assert decoded == [b"no picture"]
