"""Labels of a new table that is evaluated with an old model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmauto.data.inputs import Wanted, read_labels, read_rows
from mmauto.errors import DataError
from mmauto.values import TargetSpec


def labels(
    tmp_path: Path, cells: list[str], spec: TargetSpec
) -> tuple[dict[str, np.ndarray], list[str]]:
    lines = [f"w{row},{cell}" for row, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join(["text,y", *lines]))
    rows = read_rows(tmp_path / "t.csv", {"text": Wanted("text", ("text",), {})})
    return read_labels(rows, {"y": spec}, ";")


def test_unseen_classes_are_counted_and_left_out(tmp_path: Path) -> None:
    found, notes = labels(tmp_path, ["a", "z", "b"], TargetSpec("y", "binary", ("a", "b")))
    assert found["y"].tolist() == pytest.approx([0.0, np.nan, 1.0], nan_ok=True)
    assert "1 rows are of classes that the model has never seen ('z')" in notes[0]


def test_rows_of_unknown_tags_alone_are_not_scored_as_rows_without_any(tmp_path: Path) -> None:
    spec = TargetSpec("y", "multilabel", ("a", "b"))
    found, notes = labels(tmp_path, ["a;b", "z", "a;z", "b"], spec)
    assert found["y"][[0, 2, 3]].tolist() == [[1, 1], [1, 0], [0, 1]]
    assert np.isnan(found["y"][1]).all()
    assert "2 labels are of classes" in notes[0]


@pytest.mark.parametrize(
    "spec",
    [TargetSpec("y", "regression"), TargetSpec("y", "multilabel", ("a", "b"))],
    ids=["regression", "multilabel"],
)
def test_a_column_without_any_usable_label_is_refused(tmp_path: Path, spec: TargetSpec) -> None:
    with pytest.raises(DataError, match=r"has none of them \(it says 'z'\)"):
        labels(tmp_path, ["z", "z"], spec)
