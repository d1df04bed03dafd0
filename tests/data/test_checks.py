from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmauto.data.checks import check_dataset
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits
from mmauto.data.targets import encode_targets
from mmauto.errors import DataError

ROWS = 200
SPLITS = Splits(np.arange(100), np.arange(100, 150), np.arange(150, ROWS))


def dataset(labels: list[str] | None = None) -> Dataset:
    values = np.array(labels or ["a", "b"] * (ROWS // 2), dtype=object)
    return Dataset(
        "d",
        {"text": Texts(["t"] * ROWS)},
        {"y": TargetColumn("y", "multiclass", values)},
        np.array([str(row) for row in range(ROWS)], dtype=object),
    )


def notes(data: Dataset, splits: Splits = SPLITS) -> list[str]:
    found = check_dataset(data, splits, encode_targets(data, splits)[1], [])
    # how small a difference 50 test rows can show is tested with the other findings
    return [finding.text for finding in found if finding.kind in KINDS]


def test_good_data_has_no_notes() -> None:
    assert notes(dataset()) == []


KINDS = ("small", "rare_classes", "constant")


def test_few_validation_rows() -> None:
    splits = Splits(np.arange(100), np.arange(100, 120), np.arange(120, ROWS))
    assert notes(dataset(), splits) == ["there are only 20 validation rows"]


def test_rare_classes() -> None:
    assert notes(dataset(["a", "b"] * 48 + ["c"] * 4 + ["a", "b"] * 49 + ["c"] * 2)) == [
        "target 'y': train has fewer than 10 rows of 1 of 3 classes ('c' 4)",
        "target 'y': valid has no row of 1 of 3 classes ('c' 0)",
    ]


def test_rare_labels_and_binary_classes() -> None:
    tags = np.zeros((ROWS, 2))
    tags[:, 0], tags[:3, 1] = np.arange(ROWS) % 2, 1
    yes = np.array(["no", "yes"] * 50 + ["no"] * 50 + ["no", "yes"] * 25, dtype=object)
    data = replace(
        dataset(),
        targets={
            "tags": TargetColumn("tags", "multilabel", tags, ("x", "y")),
            "urgent": TargetColumn("urgent", "binary", yes),
            "stay": TargetColumn("stay", "regression", np.arange(float(ROWS))),
        },
    )
    assert notes(data) == [
        "target 'tags': train has fewer than 10 rows of 1 of 2 classes ('y' 3)",
        "target 'tags': valid has no row of 1 of 2 classes ('y' 0)",
        "target 'tags': test has no row of 1 of 2 classes ('y' 0)",
        "target 'urgent': valid has no row of 1 of 2 classes ('yes' 0)",
    ]


def test_constant_columns() -> None:
    some = np.where(np.arange(ROWS) < 100, np.nan, 1.0)
    column = TabularValues(
        {
            "age": np.arange(float(ROWS)),
            "size": np.ones(ROWS),
            "sex": np.array(["f"] * 100 + ["m"] * 100, dtype=object),
            "late": some,
        },
        {"age": "numeric", "size": "numeric", "sex": "categorical", "late": "numeric"},
    )
    assert notes(replace(dataset(), columns={"tabular": column})) == [
        "column 'size' is always 1.0 in the train rows: it tells nothing",
        "column 'sex' is always 'f' in the train rows: it tells nothing",
        "column 'late' is always missing in the train rows: it tells nothing",
    ]


def test_a_column_without_train_samples_is_refused() -> None:
    column = Texts([None] * 100 + ["t"] * 100)
    data = replace(dataset(), columns={**dataset().columns, "text:late": column})
    with pytest.raises(DataError) as caught:
        notes(data)
    assert str(caught.value) == (
        "an input needs samples to learn from, column 'text:late' of 'd' is missing in every train "
        "row; leave it out or change the split"
    )
