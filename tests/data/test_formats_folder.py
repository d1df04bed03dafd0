from __future__ import annotations

from pathlib import Path

import pytest

from mmauto.data.formats import open_table
from mmauto.errors import DataError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {path.stem}")
    return folder


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_table(path)
    return str(caught.value)


def test_pictures_and_the_texts_beside_them(tmp_path: Path) -> None:
    table = open_table(fill(tmp_path, "dog/b.JPG", "dog/b.txt", "cat/a.png", "cat/c.txt"))
    assert dict(table.values) == {
        "id": ["cat/a", "cat/c", "dog/b"],
        "image": ["cat/a.png", None, "dog/b.JPG"],
        "text": [None, "text of c", "text of b"],
        "label": ["cat", "cat", "dog"],
    }
    assert (table.path, table.folder) == (tmp_path, tmp_path)
    assert table.notes == ()


def test_texts_alone_and_a_file_among_the_folders(tmp_path: Path) -> None:
    table = open_table(fill(tmp_path, "pos/a.txt", "neg/a.txt", "README.txt"))
    assert table.values["label"] == ["neg", "pos"]
    assert table.values["image"] == [None, None]
    assert table.notes == (f"left out of {tmp_path}: other files (1)",)


def test_the_first_level_may_be_the_split(tmp_path: Path) -> None:
    names = ["Train/cat/1.png", "Train/dog/2.png", "val/cat/1.png", "test/dog/3.png", "test/x.png"]
    table = open_table(fill(tmp_path, *names))
    assert table.values["id"] == ["Train/cat/1", "Train/dog/2", "test/dog/3", "val/cat/1"]
    assert table.values["label"] == ["cat", "dog", "dog", "cat"]
    assert table.values["split"] == ["Train", "Train", "test", "val"]
    assert table.notes == (f"left out of {tmp_path}: other files (1)",)


def test_classes_may_be_called_like_sides(tmp_path: Path) -> None:
    table = open_table(fill(tmp_path, "train/1.png", "test/2.png"))
    assert table.values["label"] == ["test", "train"]
    assert "split" not in table.values


def test_two_pictures_that_differ_in_their_suffix_are_two_rows(tmp_path: Path) -> None:
    table = open_table(fill(tmp_path, "a/1.png", "a/1.jpg", "a/1.txt", "b/2.png"))
    assert table.values["id"] == ["a/1.jpg", "a/1.png", "b/2"]
    assert table.values["text"] == ["text of 1", "text of 1", None]


def test_what_is_left_out_is_counted_but_for_hidden_files(tmp_path: Path) -> None:
    away = fill(tmp_path / "away", "x/1.png", "2.png")
    folder = fill(
        tmp_path / "set",
        *("a/1.png", "b/2.png", "a/notes.md", "a/.hidden.png", ".git/x/1.png", "a/b/c/4.png"),
    )
    (folder / "c").symlink_to(away / "x")
    (folder / "a" / "9.png").symlink_to(away / "2.png")
    (folder / "b" / "3.png").symlink_to(folder / "a" / "1.png")
    table = open_table(folder)
    assert table.values["id"] == ["a/1", "b/2", "b/3"]
    assert table.notes == (
        f"left out of {folder}: deeper folders (1), links that lead out of it (2), other files (1)",
    )


def test_texts_in_other_encodings_are_noted_once(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    for name in ("a/1.txt", "b/2.txt"):
        (tmp_path / name).write_bytes("Die Straße ist für Fußgänger geöffnet".encode("cp1252"))
    table = open_table(tmp_path)
    assert table.values["text"] == ["Die Straße ist für Fußgänger geöffnet"] * 2
    assert table.notes == (
        "1.txt is not UTF-8: it was read as cp1252, which is a guess, check the accents in its "
        "texts (and 1 more notes on texts)",
    )


def test_a_picture_called_text_is_refused_by_its_name(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "2.txt").write_bytes(b"\x89PNG\0\0")
    assert refused(tmp_path).startswith(f"{tmp_path}/b/2.txt is not a readable table (it holds bin")


def test_a_text_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "2.txt").symlink_to(tmp_path / "gone.txt")
    assert refused(tmp_path) == (
        f"the table {tmp_path}/b/2.txt cannot be read (No such file or directory); check its "
        "permissions"
    )


@pytest.mark.parametrize("names", [[], ["a/1.png"], ["1.png", "a/2.png", "b/3.pdf"]])
def test_less_than_two_class_folders(tmp_path: Path, names: list[str]) -> None:
    assert refused(fill(tmp_path, *names)) == (
        "a data folder holds data.csv, data.parquet, data.jsonl or data.xlsx, a data set saved by "
        "Hugging Face's library, or at least two class folders of pictures (or .txt files), "
        f"{tmp_path} holds none of them; name the table's file itself"
    )


def test_a_table_in_the_folder_goes_before_class_folders(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "data.csv").write_text("x\n1\n")
    table = open_table(tmp_path)
    assert dict(table.values) == {"x": ["1"]}
    assert (table.path, table.folder) == (tmp_path / "data.csv", tmp_path)
