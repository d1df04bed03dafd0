"""What a user should know of the data before anything trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mmauto.data.dataset import Dataset
from mmauto.data.splits import Splits
from mmauto.data.targets import class_names
from mmauto.errors import DataError

FEW_TRAIN_ROWS = 10
FEW_VALID_ROWS = 50


def check_dataset(dataset: Dataset, splits: Splits, targets: Mapping[str, np.ndarray]) -> list[str]:
    """Notes on small validation sides, rare classes, constant columns and rows without input.

    Args:
        targets: the arrays that `mmauto.data.targets.encode_targets` gives.

    Raises:
        DataError: a column has no sample at all in the train rows.
    """
    for key, column in dataset.columns.items():
        if not column.present[splits.train].any():
            raise DataError(
                f"an input needs samples to learn from, column {key!r} of {dataset.name!r} is "
                "missing in every train row; leave it out or change the split"
            )
    return [
        *_small_valid(splits),
        *_rare_classes(dataset, splits, targets),
        *_constant_fields(dataset, splits),
        *_empty_rows(dataset),
    ]


def _small_valid(splits: Splits) -> Iterator[str]:
    if len(splits.valid) < FEW_VALID_ROWS:
        yield (
            f"there are only {len(splits.valid)} validation rows: the choice between candidates "
            "is uncertain"
        )


def _rare_classes(
    dataset: Dataset, splits: Splits, targets: Mapping[str, np.ndarray]
) -> Iterator[str]:
    for name, target in dataset.targets.items():
        classes = class_names(target, splits.train)
        for side, least in (("train", FEW_TRAIN_ROWS), ("valid", 1), ("test", 1)):
            values = targets[name][splits.sides()[side]]
            counts = [_count(values, index) for index in range(len(classes))]
            rare = [f"{c!r} {n}" for c, n in zip(classes, counts, strict=True) if n < least]
            if rare:
                few = f"fewer than {least} rows" if least > 1 else "no row"
                yield (
                    f"target {name!r}: {side} has {few} of {len(rare)} of {len(classes)} classes "
                    f"({', '.join(rare[:3])}{' ...' if len(rare) > 3 else ''})"
                )


def _count(values: np.ndarray, index: int) -> int:
    found = values == index if values.ndim == 1 else values[:, index] == 1
    return int(found.sum())


def _constant_fields(dataset: Dataset, splits: Splits) -> Iterator[str]:
    for column in dataset.columns.values():
        if not column.fields:
            continue
        rows = [row for row in column.take(splits.train) if row is not None]
        for name in column.fields:
            known = {row[name] for row in rows if row[name] is not None}
            if len(known) < 2:
                value = f"always {next(iter(known))!r}" if known else "always missing"
                yield f"column {name!r} is {value} in the train rows: it tells nothing"


def _empty_rows(dataset: Dataset) -> Iterator[str]:
    some = np.logical_or.reduce([column.present for column in dataset.columns.values()])
    if not some.all():
        yield f"rows without any input, which say nothing about the label: {(~some).sum()}"
