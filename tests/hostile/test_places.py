"""Names and paths from a stranger stay where they belong.

What the user types is the user's: ``--out``, ``--data``, a table's path and a study's folder may
lead anywhere. What stands inside a file (a study's and an arm's name, a column, a picture's path, a
link in an unpacked archive) leads to nothing outside the folder of that file or of the study.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmauto.config import StudyConfig, default_name, from_mapping
from mmauto.data.formats import open_table
from mmauto.data.inputs import Wanted, read_rows
from mmauto.data.table import read_table
from mmauto.errors import ConfigError, DataError, StoreError
from mmauto.plugin import Fusion, hookimpl
from mmauto.registry import load_registry
from mmauto.store.place import settle
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import make_arms
from mmauto.values import TargetSpec, TaskView

pytestmark = pytest.mark.fault("malice")

OUTSIDE = ["../x", "..", ".", "/etc/x", "a/b", "a\\b", "a\0b", "a\n", "", "-x", ".x", "~", "C:x"]


@pytest.mark.parametrize("name", OUTSIDE[:4] + OUTSIDE[4:8] + OUTSIDE[9:])
def test_a_study_s_name_is_one_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="name must be"):
        from_mapping({"task": "medical", "name": name}, "study.toml")


@pytest.mark.parametrize("name", [n for n in OUTSIDE if n != "-x"])
def test_an_arm_s_name_is_one_folder(name: str) -> None:
    arms = {name: {"fusion": "concat_mlp"}}
    with pytest.raises(ConfigError, match="an arm's name must be letters"):
        from_mapping({"task": "medical", "arms": arms}, "study.toml")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("_data.csv", "data"), ("/x/..hidden.csv", "hidden"), (f"{'a' * 300}.csv", "a" * 100),
        ("/tmp/\u202e\n.csv", "study"), ("/etc/../etc/$(rm).csv", "rm"),
    ],
)  # fmt: skip
def test_the_name_after_a_table_is_always_a_name(data: str, name: str) -> None:
    assert default_name(StudyConfig(data=data)) == name
    assert from_mapping({"data": data}).name == name


@pytest.mark.parametrize("key", ["data", "out", "image_folder", "warm_start", "name", "task"])
def test_a_nul_character_is_refused_by_its_key(key: str) -> None:
    with pytest.raises(ConfigError, match=f"study.toml: {key} must be a text without NUL"):
        from_mapping({"task": "medical", key: "a\0b"}, "study.toml")


def names_of(*keys: str) -> list[str]:
    task = TaskView(
        "t",
        dict.fromkeys(keys, "text"),
        {"y": TargetSpec("y", "binary", ("a", "b"))},
        "y",
        "accuracy",
    )
    config = StudyConfig(task="t", encoders=("bag_of_words",))
    return [
        arm.name for arm in make_arms(load_registry(), task, config) if arm.view.kind == "single"
    ]


def test_a_column_s_name_leads_an_arm_s_folder_nowhere() -> None:
    keys = ("text:../../../../tmp/x", "text:a/b", "text:a\\b", "text:a\0b", "text:" + "é" * 300)
    names = names_of(*keys)
    assert len(set(names)) == len(keys)
    for name in names:
        assert Path("models", name).resolve().parent == Path("models").resolve()
        assert not set(name) & set('/\\\0<>:"|?*')
        assert len(name.encode()) < 256


def test_a_plain_column_s_arm_is_called_after_it() -> None:
    assert names_of("text:first note", "text:größe") == ["text_first note_only", "text_größe_only"]


@pytest.mark.parametrize("name", ["../x", "x/y", "X", "x\n", "", "<b>", "x y", "__init__", "1x"])
def test_an_odd_plugin_s_name_is_refused(name: str) -> None:
    class Odd(Fusion):
        summary, reference, stage = "odd", "none", "early"

        def build(self, features: Any, heads: Any, params: Any) -> Any:
            raise NotImplementedError

    Odd.name = name

    class Plugin:
        @hookimpl
        def mmauto_fusions(self) -> list[Fusion]:
            return [Odd()]

    found = load_registry({"odd": Plugin()})
    assert name not in found.all("fusion")
    assert any("a fusion's name must match" in one.message for one in found.failures)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table's folder with one picture, and a secret beside it."""
    (tmp_path / "secret.png").write_bytes(b"")
    inside = tmp_path / "data"
    inside.mkdir()
    for place in (tmp_path / "secret.png", inside / "good.png"):
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(place)
    return inside


def table(folder: Path, *cells: str) -> Path:
    lines = [f"{cell},{'ab'[row % 2]}" for row, cell in enumerate([*cells] + ["good.png"] * 20)]
    (folder / "data.csv").write_text("\n".join(["photo,label", *lines]) + "\n")
    return folder / "data.csv"


@pytest.mark.parametrize(
    "cell", ["../secret.png", "/etc/passwd.png", "//host/x.png", "x/../../secret.png", "link.png"]
)
def test_a_picture_outside_the_folder_is_refused_by_name(folder: Path, cell: str) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(DataError, match="image paths stay inside the table's folder") as caught:
        read_table(table(folder, cell), image="photo")
    assert cell in str(caught.value)
    assert "--image-folder" in str(caught.value)


def test_an_absolute_path_is_fine_where_the_user_names_the_folder(folder: Path) -> None:
    outside = folder.parent / "secret.png"
    data = read_table(
        table(folder, str(outside)), image="photo", image_folder=folder.parent, max_bad=0.99
    )
    assert "1" in data.ids


@pytest.mark.parametrize(
    "cell", ["file:///etc/passwd.png", "\\\\host\\share\\x.png", "http://h/x.png"]
)
def test_an_address_is_only_a_file_that_is_not_there(folder: Path, cell: str) -> None:
    data = read_table(table(folder, cell), image="photo", max_bad=0.2)
    assert "1" not in data.ids  # the row without any input is left out
    assert any("1 not found" in str(found) for found in data.findings)


def test_a_pipe_in_the_folder_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    data = read_table(table(folder, "pipe.png"), image="photo", max_bad=0.2)
    assert "1" not in data.ids


def test_pictures_of_new_rows_stay_inside_too(folder: Path) -> None:
    with pytest.raises(DataError, match="image paths stay inside"):
        read_rows(table(folder, "../secret.png"), {"image": Wanted("image", ("photo",), {})})


def test_links_out_of_an_unpacked_archive_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "x.txt").write_text(f"text of {name}")
    (tmp_path / "data" / "a" / "y.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "data" / "c").symlink_to("/etc")
    data = read_table(tmp_path / "data", target="label", text="text")
    assert sorted(data.columns["text"]) == ["text of a", "text of b"]  # type: ignore[call-overload]


@pytest.mark.parametrize("inside", [False, True])
def test_a_saved_data_set_reads_no_file_outside_its_folder(tmp_path: Path, inside: bool) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_dict({"x": [1.5, 2.5] * 9, "label": ["a", "b"] * 9})
    rows.save_to_disk(str(tmp_path / "secret"))
    rows.save_to_disk(str(tmp_path / "data"))
    state = tmp_path / "data" / "state.json"
    about = json.loads(state.read_text())
    (file,) = about["_data_files"]
    if not inside:
        file["filename"] = f"../secret/{file['filename']}"
    state.write_text(json.dumps(about))
    if inside:
        assert len(open_table(tmp_path / "data")) == 18
        return
    with pytest.raises(
        DataError, match=r"is not a readable table \(state\.json names '\.\./secret"
    ):
        open_table(tmp_path / "data")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_file_name_that_is_no_text_is_left_out_and_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for row in range(3):
            (tmp_path / name / f"{row}.txt").write_text(f"text {row} of {name}")
    try:
        Path(os.fsdecode(bytes(tmp_path / "a") + b"/caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    data = read_table(tmp_path, target="label", text="text")
    assert len(data.ids) == 6
    assert "names that are not UTF-8 (1)" in " ".join(data.notes)


@pytest.mark.parametrize("state", ["closed", "log", "log in use", "killed"])
def test_a_note_that_names_another_program_s_database_changes_nothing_there(
    tmp_path: Path, state: str
) -> None:
    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (tmp_path / "other").iterdir()}

    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "their s.db"
    with closing(sqlite3.connect(path)) as other:
        if state.startswith("log"):
            other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE x (a)")
        if state == "log in use":
            other.execute("INSERT INTO x VALUES (1)")
            other.commit()
        if state == "killed":  # a log that nobody holds any more
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("CREATE TABLE y (a)")
            left = files()
        if state == "log in use":
            assert "their s.db-wal" in files()
            _refused(tmp_path, path, files)
    if state == "killed":
        for name, content in left.items():
            (tmp_path / "other" / name).write_bytes(content)
    _refused(tmp_path, path, files)


def _refused(folder: Path, path: Path, files: Any) -> None:
    (folder / "s").mkdir(exist_ok=True)
    url = f"sqlite:///{path}"
    note = f"url = {json.dumps(url)}\nstudy = 's'\ntoken = 't'\n"
    (folder / "s" / "storage.toml").write_text(note)
    before = {name: content for name, content in files().items() if not name.endswith("-shm")}
    with pytest.raises(StoreError, match=r"needs a database .*their s\.db is not one: its tables"):
        StudyStore.open(folder / "s")
    assert settle(folder / "new", "s", url) == url  # --storage is the user's: asked, not written
    after = {name: content for name, content in files().items() if not name.endswith("-shm")}
    assert after == before
