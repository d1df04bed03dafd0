from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmauto.data.splits import make_splits
from mmauto.data.table import read_table
from mmauto.data.targets import encode_targets

FOLDER = Path(
    os.environ.get("MMAUTO_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("name", "roles", "sides", "classes"),
    [
        (
            "breast_us",
            {"text": "text_clinical", "tabular": "age"},
            {"train": 175, "valid": 26, "test": 51},
            {"benign": 154, "malignant": 98},
        ),
        (
            "vqarad",
            {"text": "text"},
            {"train": 1162, "valid": 165, "test": 345},
            2,
        ),
        (
            "openclipart",
            {"text": "text"},
            {"train": 1465, "valid": 212, "test": 432},
            {
                "computer": 250,
                "food": 250,
                "recreation": 250,
                "signs_and_symbols": 250,
                "people": 249,
                "animals": 233,
                "tools": 123,
                "transportation": 119,
                "office": 114,
                "shapes": 107,
                "geography": 96,
                "plants": 68,
            },
        ),
        ("easyvqa", {"text": "text"}, {"train": 2475, "valid": 325, "test": 800}, 13),
    ],
)
def test_rows_sides_and_classes_are_those_of_its_source(
    name: str, roles: dict[str, Any], sides: dict[str, int], classes: dict[str, int] | int
) -> None:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"{name} is not in {FOLDER}; set MMAUTO_DATA to the folder that holds it")
    data = read_table(FOLDER / name, target="label", image="image", **roles)
    splits = make_splits(data, 0)
    specs, _, notes = encode_targets(data, splits)
    assert {side: len(rows) for side, rows in splits.sides().items()} == sides
    found = Counter(data.targets["label"].values)
    assert (len(found) if isinstance(classes, int) else found) == classes
    assert specs["label"].kind == ("binary" if len(found) == 2 else "multiclass")
    assert notes == []
    assert data.columns["image"].present.all()
    if name == "breast_us":
        assert (~data.columns["tabular"].present).sum() == 41
