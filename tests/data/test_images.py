from __future__ import annotations

import base64
import pickle
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
        image_column(cells, "picture", folder, folder.parent / "store")
    return str(caught.value)


def test_paths_are_relative_to_the_folder(folder: Path) -> None:
    cells = ["images/1.png", None, "images/../images/2.png", "images/1.png"]
    column = image_column(cells, "picture", folder, folder.parent / "store").column
    assert column.present.tolist() == [True, False, True, True]
    assert [image and image.getpixel((0, 0))[0] for image in column] == [1, None, 2, 1]


def test_a_folder_behind_a_link_is_fine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert image_column(
        ["images/0.png"], "picture", tmp_path / "link", tmp_path / "store"
    ).column.present.all()


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
        "image paths stay inside the table's folder, 4 ('../outside.png', 'link.png', "
        f"'/set/0.png' and 1 more) do not (column 'picture', folder {folder}); copy the images "
        "into it, or name the folder that holds them with --image-folder"
    )


def test_an_absolute_path_inside_the_folder_is_fine(folder: Path) -> None:
    cells = [str(folder / "images/0.png")]
    found = image_column(cells, "picture", folder, folder.parent / "store")
    assert found.column.present.all()


def test_a_neighbour_with_the_same_beginning_is_outside(folder: Path) -> None:
    (folder.parent / "set2").mkdir()
    Image.new("L", (8, 8)).save(folder.parent / "set2/a.png")
    assert "1 ('../set2/a.png') does not" in refused(["../set2/a.png"], folder)


def test_files_that_are_not_there_or_do_not_decode(folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    whole = (folder / "images" / "noise.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    cells = ["images/9.png", "a\0b", "text.png", "half.jpg", "images/0.png", None]
    message = refused([*cells], folder)
    assert message.startswith(
        "every image must exist and decode, up to --max-bad 0.0% of them; 4 of 5 cannot be used: "
        "2 not found, 2 cannot be decoded ('images/9.png': not found; "
    )
    assert message.endswith("or raise --max-bad")
    found = image_column(cells, "picture", folder, folder.parent / "store", max_bad=0.8)
    assert found.column.present.tolist() == [False] * 4 + [True, False]
    (finding,) = found.findings
    assert finding.warning
    assert finding.action == "treated as missing"
    assert "4 of 5 images cannot be used" in finding.text


def test_a_decompression_bomb_is_not_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmauto.data.looks.MOST_PIXELS", 399)
    assert "1 huge ('images/0.png': huge: 20 x 20 pixels" in refused(["images/0.png"], folder)


def test_bytes_and_base64_become_one_file(folder: Path) -> None:
    content = [(folder / f"images/{index}.png").read_bytes() for index in range(3)]
    text = base64.b64encode(content[1]).decode()  # tiny: less than a path may be long
    store = folder.parent / "store"
    found = image_column([content[0], text, None, content[0]], "picture", folder, store)
    column = pickle.loads(pickle.dumps(found.column))
    assert column.present.tolist() == [True, True, False, True]
    assert [image and image.getpixel((0, 0))[0] for image in column] == [0, 1, None, 0]
    (file,) = store.iterdir()
    assert file.stat().st_size == len(content[0]) + len(content[1])
    assert column.take([1]).digest() != column.take([0]).digest()
    assert column.take([3]).digest() == column.take([0]).digest()
