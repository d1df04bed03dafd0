from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mmauto.data.formats import open_table
from mmauto.errors import DataError

pyarrow = pytest.importorskip("pyarrow")


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_table(path)
    return str(caught.value)


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_bytes_stay_and_stored_images_become_bytes_or_paths(tmp_path: Path) -> None:
    images = [{"bytes": b"P", "path": "a.png"}, {"bytes": None, "path": "b.png"}, None]
    columns = {"image": pyarrow.array(images), "raw": [b"\x89PNG", None, b""], "o": [{"k": 1}] * 3}
    table = open_table(parquet(tmp_path / "t.parquet", columns))
    assert table.values["image"] == [b"P", "b.png", None]
    assert table.values["raw"] == [b"\x89PNG", None, b""]
    with pytest.raises(DataError, match=r"column 'o' of .* cannot be read"):
        table.cells("o")


def test_narrow_floats_and_dates_read_as_in_csv(tmp_path: Path) -> None:
    import datetime

    days = [datetime.datetime(2024, 1, 2), None]
    columns = {"f": pyarrow.array([0.1, None], pyarrow.float32()), "day": days}
    table = open_table(parquet(tmp_path / "t.parquet", columns))
    assert table.cells("f") == ["0.1", None]
    assert table.cells("day") == ["2024-01-02", None]


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table([[1], [2]], names=["a", "a"]), path)
    assert "(it has two columns named 'a')" in refused(path)


def test_a_parquet_file_that_is_cut_off(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"a": list(range(1000))})
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * (len(whole) - 12) + whole[-8:])
    message = refused(path)
    assert message.startswith(f"{path} is not a readable table (")
    assert message.endswith("; repair the file or save it again")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Any:
    picture = tmp_path_factory.mktemp("pictures") / "b.png"
    picture.write_bytes(b"Q")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "tags": datasets.List(datasets.ClassLabel(names=["x", "y"])),
            "n": datasets.Value("int64"),
        }
    )
    rows = {
        "image": [{"bytes": b"P", "path": None}, {"bytes": None, "path": str(picture)}, None],
        "label": [0, -1, 1],
        "tags": [[0, 1], None, []],
        "n": [1, None, 3],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_saved_data_set_says_classes_by_name(tmp_path: Path, part: Any) -> None:
    folder = tmp_path / "saved"
    part.save_to_disk(folder)
    table = open_table(folder)
    assert dict(table.values) == {
        "image": [b"P", b"Q", None],
        "label": ["cat", None, "dog"],
        "tags": [["x", "y"], None, []],
        "n": [1, None, 3],
    }
    assert (table.path, table.folder) == (folder, folder)


def test_selected_rows_are_saved_as_selected(tmp_path: Path, part: Any) -> None:
    part.select([2, 0]).save_to_disk(tmp_path / "saved")
    assert open_table(tmp_path / "saved").values["n"] == [3, 1]


def test_the_parts_of_a_saved_data_set_follow_one_another(tmp_path: Path, part: Any) -> None:
    import datasets

    other = part.remove_columns("n").select([0])
    datasets.DatasetDict({"train": part, "validation": other}).save_to_disk(tmp_path / "saved")
    table = open_table(tmp_path / "saved")
    assert table.values["split"] == ["train", "train", "train", "validation"]
    assert table.values["n"] == [1, None, 3, None]
    assert table.values["label"] == ["cat", None, "dog", "cat"]
    assert table.notes == ()


def test_the_parts_names_win_over_a_column_split(tmp_path: Path, part: Any) -> None:
    import datasets

    marked = part.add_column("split", ["a", "b", "c"])
    folder = tmp_path / "saved"
    datasets.DatasetDict({"train": marked}).save_to_disk(folder)
    table = open_table(folder)
    assert table.values["split"] == ["train"] * 3
    assert table.notes == (
        f"column 'split' of {folder}: the names of its parts stand in place of it",
    )


def test_a_table_in_the_folder_goes_before_a_saved_data_set(tmp_path: Path, part: Any) -> None:
    part.save_to_disk(tmp_path)
    (tmp_path / "data.csv").write_text("a\n1\n")
    assert dict(open_table(tmp_path).values) == {"a": ["1"]}


@pytest.mark.parametrize("names", [["dataset_info.json", "state.json"], ["dataset_dict.json"]])
def test_a_broken_saved_data_set(tmp_path: Path, part: Any, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("{}")
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path} is not a readable table (")
    assert message.endswith("; repair the file or save it again")


def test_a_saved_data_set_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": []}')
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert refused(tmp_path) == (
        f"reading a saved data set ({tmp_path}) needs datasets, which is not installed; "
        'run: pip install "mmauto[datasets]"'
    )
