from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmauto.data.formats import RawTable, open_table
from mmauto.errors import DataError


def cells(table: RawTable) -> dict[str, list[object]]:
    return {name: list(table.cells(name)) for name in table.values}


def test_a_frame_gives_the_same_cells_as_its_csv_file(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "whole": [3, 4],
            "nullable": pd.array([3, None], dtype="Int64"),
            "with_gap": [3, None],
            "float": [3.5, np.nan],
            "narrow": np.array([0.1, 3], dtype="float32"),
            "narrow_nullable": pd.array([0.1, None], dtype="Float32"),
            "truth": [True, False],
            "truth_nullable": pd.array([True, None], dtype="boolean"),
            "text": ["a b", "NA"],
            "object": pd.Series([np.int64(7), None], dtype=object),
            "category": pd.Categorical(["x", None]),
            "number_category": pd.Categorical([1, None]),
            "day": pd.to_datetime(["2024-01-02", None]),
            "moment": pd.to_datetime(["2024-01-02 10:30:00", "2024-01-02 00:00:00"]),
            "zone": pd.to_datetime(["2024-01-02", None]).tz_localize("UTC"),
            "length": pd.to_timedelta([90, None], unit="s"),
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = open_table(frame)
    assert cells(table) == cells(open_table(tmp_path / "t.csv"))
    assert table.cells("whole") == ["3", "4"]
    assert table.cells("nullable") == ["3", None]
    assert table.cells("day") == ["2024-01-02", None]


def test_a_frame_is_called_so_and_its_images_start_here() -> None:
    table = open_table(pd.DataFrame({"a": [1]}, index=["row"]))
    assert table.path == Path("DataFrame")
    assert table.folder == Path()
    assert table.notes == ()
    assert dict(table.values) == {"a": [1]}


def test_labels_become_text_and_lists_and_bytes_stay() -> None:
    frame = pd.DataFrame({0: [b"\x89PNG"], 1.5: [["x", "y"]], ("a", 1): [np.array([1, 2])]})
    frame.columns = pd.Index([0, 1.5, ("a", 1)], dtype=object, tupleize_cols=False)
    assert dict(open_table(frame).values) == {
        "0": [b"\x89PNG"],
        "1.5": [["x", "y"]],
        "('a', 1)": [[1, 2]],
    }


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame([[1, 2]], columns=[1, "1"]),
            "the columns of a table have different names, the data frame has two named '1'; "
            "rename one of them",
        ),
        (
            pd.DataFrame(index=[0, 1]),
            "a table needs at least one column, the data frame has none; fill it with data",
        ),
        (
            pd.DataFrame({"a": []}),
            "a table needs at least one row, DataFrame has none; add rows to it",
        ),
    ],
)
def test_frames_that_are_no_table(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError) as caught:
        open_table(frame)
    assert str(caught.value) == message
