from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays, ImageFiles


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for index in range(3):
        paths.append(tmp_path / f"{index}.png")
        Image.new("L", (4, 4), 80 * index).save(paths[-1])
    return paths


def tabular() -> TabularValues:
    return TabularValues(
        {
            "age": np.array([50.0, np.nan, np.nan]),
            "sex": np.array(["f", "m", None], dtype=object),
        },
        {"age": "numeric", "sex": "categorical"},
    )


def test_samples_come_in_their_own_types(files: list[Path]) -> None:
    image = ImageFiles([files[1], None])[0]
    assert image is not None
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", (80, 80, 80))
    assert ImageArrays(np.zeros((1, 2, 3), np.uint8))[0].size == (3, 2)
    assert list(Texts(["a", None])) == ["a", None]
    assert list(tabular()) == [{"age": 50.0, "sex": "f"}, {"age": None, "sex": "m"}, None]


def test_missing_samples_are_none_and_not_present(files: list[Path]) -> None:
    arrays = ImageArrays(np.zeros((2, 4, 4), np.uint8), np.array([True, False]))
    for column in (ImageFiles([files[0], None]), arrays, Texts(["a", None])):
        assert column.present.tolist() == [True, False]
        assert column[1] is None
    assert tabular().present.tolist() == [True, True, False]


def test_take_keeps_the_rows_in_the_order_asked_for(files: list[Path]) -> None:
    arrays = ImageArrays(np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4))
    for column in (ImageFiles(list(files)), arrays, Texts(["a", "b", "c"]), tabular()):
        taken = column.take([2, 0])
        assert len(taken) == 2
        assert taken.raw(0) == column.raw(2)
        assert taken.raw(1) == column.raw(0)


def test_a_digest_follows_content_order_and_fields(files: list[Path]) -> None:
    pixels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    ages = {"age": np.array([1.0, 2.0]), "size": np.array([3.0, np.nan])}
    both = {"age": "numeric", "size": "numeric"}
    digests = [
        column.digest()
        for column in (
            Texts(["a", "b"]),
            Texts(["b", "a"]),
            Texts(["a", "c"]),
            Texts(["a", None]),
            Texts(["a", ""]),
            Texts(["ab"]),
            ImageArrays(pixels),
            ImageArrays(pixels[::-1]),
            ImageArrays(pixels.reshape(2, 2, 8)),
            ImageArrays(pixels, np.array([True, False])),
            ImageFiles([files[0], files[1]]),
            ImageFiles([files[1], files[0]]),
            ImageFiles([files[0], None]),
            TabularValues(ages, both),
            TabularValues(ages, dict(reversed(both.items()))),
            TabularValues({**ages, "age": np.array([1.0, 2.5])}, both),
            TabularValues(ages, {"age": "numeric"}),
        )
    ]
    assert len(set(digests)) == len(digests)


def test_a_digest_follows_bytes_not_paths(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(files[0].read_bytes())
    assert ImageFiles([copy]).digest() == ImageFiles([files[0]]).digest()
    before = ImageFiles([copy]).digest()
    Image.new("L", (4, 4), 9).save(copy)
    assert ImageFiles([copy]).digest() != before


def test_sixteen_bit_greys_are_stretched_not_clipped(tmp_path: Path) -> None:
    # a 12-bit radiograph in a 16-bit file: Pillow alone would make all of it white or black
    values = np.array([[0, 1000], [2000, 4000]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    image = ImageFiles([tmp_path / "deep.png"])[0]
    assert np.asarray(image)[..., 0].tolist() == [[0, 64], [128, 255]]


def test_a_constant_deep_image_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 7, dtype=np.uint16)).save(tmp_path / "flat.png")
    assert np.asarray(ImageFiles([tmp_path / "flat.png"])[0]).max() == 0


def test_transparent_pictures_are_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert ImageFiles([tmp_path / "clear.png"])[0].getpixel((0, 0)) == (255, 255, 255)
