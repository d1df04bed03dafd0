from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mmauto.data.images import image_column
from mmauto.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (20, 20), (index, 0, 0)).save(folder / f"images/{index}.png")
    Image.effect_noise((200, 200), 50).save(folder / "images/noise.jpg", quality=90)
    Image.new("L", (8, 8)).save(tmp_path / "outside.png")
    return folder


def refused(cells: list[str | None], folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        image_column(cells, "picture", folder)
    return str(caught.value)


def test_paths_are_relative_to_the_folder(folder: Path) -> None:
    cells = ["images/1.png", None, "images/../images/2.png", "images/1.png"]
    column = image_column(cells, "picture", folder)
    assert column.present.tolist() == [True, False, True, True]
    assert [image and image.getpixel((0, 0))[0] for image in column] == [1, None, 2, 1]


def test_a_folder_behind_a_link_is_fine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert image_column(["images/0.png"], "picture", tmp_path / "link").present.all()


def test_paths_that_leave_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    cells = [
        "images/0.png",
        "../outside.png",
        "link.png",
        "/set/0.png",
        "../set2/a.png",
        "../outside.png",
    ]
    message = refused(cells, folder)
    assert message == (
        "image paths are relative and stay inside the table's folder, 4 ('../outside.png', "
        f"'link.png', '/set/0.png' and 1 more) do not (column 'picture', folder {folder}); "
        "copy the images into it"
    )


def test_an_absolute_path_is_refused_even_into_the_folder(folder: Path) -> None:
    assert "and stay inside" in refused([str(folder / "images/0.png")], folder)


def test_a_neighbour_with_the_same_beginning_is_outside(folder: Path) -> None:
    (folder.parent / "set2").mkdir()
    Image.new("L", (8, 8)).save(folder.parent / "set2/a.png")
    assert "1 ('../set2/a.png') does not" in refused(["../set2/a.png"], folder)


def test_files_that_are_not_there(folder: Path) -> None:
    names = ["images/9.png", "a\0b", "x" * 300, "images", "images/0.png"]
    message = refused([*names], folder)
    assert message.startswith(
        f"every image must exist, 4 ('images/9.png', 'a\\x00b', '{'x' * 57}...' and 1 more) not"
    )
    assert message.endswith("add the files, or leave the cells empty where an image is missing")


def test_files_that_do_not_decode(folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    for name in ("0.png", "noise.jpg"):
        whole = (folder / "images" / name).read_bytes()
        (folder / f"half-{name}").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    cells = ["text.png", "images/1.png", "half-0.png", "half-noise.jpg", "empty.png"]
    assert refused([*cells], folder) == (
        "every image must decode, 4 ('text.png', 'half-0.png', 'half-noise.jpg' and 1 more) cannot "
        f"be read as an image (column 'picture', folder {folder}); repair the files, or leave the "
        "cells empty where an image is missing"
    )
