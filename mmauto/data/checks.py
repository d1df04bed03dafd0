"""What a user should know of the data before anything trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from mmauto.data.checks_columns import column_findings
from mmauto.data.dataset import Dataset
from mmauto.data.duplicates import Twins, across, find_twins, joined, whole_rows
from mmauto.data.leaks import classes_of, column_leak, token_leak
from mmauto.data.noise import suspicious_labels
from mmauto.data.power import WORTHWHILE, detectable, rows_needed
from mmauto.data.splits import Splits
from mmauto.data.targets import class_names
from mmauto.errors import DataError
from mmauto.findings import Finding

FEW_TRAIN_ROWS = 10
FEW_VALID_ROWS = 50
PLACEHOLDER = 0.05
"""A sample in more than this share of the rows is a placeholder; it ties no rows together."""


def keep_twins_together(data: Dataset, twins: list[Twins]) -> Dataset:
    """The data with groups in which rows that share a sample stand together.

    Nothing changes where the split is given, or where nothing occurs twice.
    """
    rarer = [each.rarer(_most(data)) for each in twins if each.ties]
    real = [each for each in rarer if any(True for _ in each.sets())]
    if data.split is not None or not real:
        return data
    return replace(data, groups=joined(data.groups, len(data), real))


def _most(data: Dataset) -> int:
    return max(10, int(PLACEHOLDER * len(data)))


def twins_of(data: Dataset) -> list[Twins]:
    """Samples that occur more than once in a user's table; generated data is not searched."""
    return [] if data.simulated else find_twins(data)


def check_dataset(
    data: Dataset, splits: Splits, targets: Mapping[str, np.ndarray], twins: list[Twins]
) -> list[Finding]:
    """Everything that is found before training, in the order in which it matters.

    Args:
        targets: the arrays that `mmauto.data.targets.encode_targets` gives.
        twins: as `twins_of` gives them.

    Raises:
        DataError: a column has no sample at all in the train rows.
    """
    for key, column in data.columns.items():
        if not column.present[splits.train].any():
            raise DataError(
                f"an input needs samples to learn from, column {key!r} of {data.name!r} is "
                "missing in every train row; leave it out or change the split"
            )
    return [
        *_leaks(data),
        *_twins(data, splits, twins),
        *_contradictions(data),
        *_noise(data),
        *_small(data, splits),
        *_rare_classes(data, splits, targets),
        *column_findings(data, splits),
    ]


def _leaks(data: Dataset) -> Iterator[Finding]:
    if data.simulated:
        return
    target = next(iter(data.targets.values()))
    found = []
    for key, column in data.columns.items():
        if column.modality == "text":
            found.append(token_leak(key, list(column), target))
    for key in () if data.foldered else data.looks:
        column = data.columns[key]
        paths = getattr(column, "paths", None)
        if paths is not None:
            # the model never sees a path, but a folder of diagnoses betrays how the data was made
            names = [None if path is None else f"{path.parent.name}/{path.stem}" for path in paths]
            found.append(token_leak(key, names, target, "the file names of"))
    if not data.foldered:
        found.extend(_ids(data))
    yield from (finding for finding in found if finding is not None)
    order = None if data.foldered else _sorted_by_class(data)
    if order is not None:
        yield order


def _ids(data: Dataset) -> Iterator[Finding | None]:
    """Ids that tell the class by a part of theirs or by their size."""
    target = next(iter(data.targets.values()))
    name = next((guess.column for guess in data.roles if guess.role == "id"), None)
    if name is None:
        return
    ids = [str(row) for row in data.ids]
    yield token_leak(name, ids, target, "the row ids, column")
    leak = column_leak(name, ids, target)
    if leak is not None:
        action = "no input; a model that read it would learn nothing else"
        yield Finding("leak", f"{leak[1]} (AUROC {leak[0]:.2f} out of fold)", action)


def _sorted_by_class(data: Dataset) -> Finding | None:
    """Rows in the order of their classes: an id or a row number then tells the label."""
    rows, classes = classes_of(next(iter(data.targets.values())))
    changes = int((np.diff(classes) != 0).sum())
    if next(iter(data.targets.values())).kind == "regression" or len(rows) < 50:
        return None
    if changes + 1 > 2 * len(np.unique(classes)):
        return None
    return Finding(
        "leak",
        "the rows stand in the order of their classes, so a running number would tell the label",
        "mmauto shuffles and reads no row number; leave such columns out elsewhere, too",
    )


def _twins(data: Dataset, splits: Splits, twins: list[Twins]) -> Iterator[Finding]:
    for each in twins:
        biggest = max(len(together) for together in each.sets())
        if biggest > _most(data):
            yield Finding(
                "duplicates",
                f"{_shared(each)}; one of them stands in {biggest} rows, like a placeholder",
                "kept; leave the cell empty where a sample is missing",
                warning=True,
            )
        real = each.rarer(_most(data))
        if any(True for _ in real.sets()):
            yield _spread(data, splits, real)


def _shared(twins: Twins) -> str:
    sets = list(twins.sets())
    several = "sample" if len(sets) == 1 else "samples"
    rows = sum(len(together) for together in sets)
    return f"{rows} rows share {twins.what} with another one ({len(sets)} {several})"


def _spread(data: Dataset, splits: Splits, twins: Twins) -> Finding:
    """Whether samples that occur more than once stand on one side of the split."""
    text = _shared(twins)
    samples, spoiled = across(twins, splits.sides(), len(data))
    if not samples:
        return Finding("duplicates", text, "each stands on one side of the split")
    if not twins.ties:
        return Finding(
            "duplicates",
            f"{text}, {samples} of them in train and in validation or test ({spoiled} rows)",
            "kept: their other inputs differ",
        )
    return Finding(
        "duplicates",
        f"{text}: the given split has {samples} of them both in train and in "
        f"validation or test ({spoiled} rows there), so scores may be too good",
        'kept as given; --split "" cuts a split that keeps them on one side',
        warning=True,
    )


def _contradictions(data: Dataset) -> Iterator[Finding]:
    target = next(iter(data.targets.values()))
    if data.simulated or target.kind not in ("binary", "multiclass"):
        return
    labels = np.array([str(value) for value in target.values])
    odd = [
        rows for rows in Twins("", whole_rows(data)).sets() if len(set(labels[rows]) - {"None"}) > 1
    ]
    if odd:
        shown = ", ".join("/".join(str(data.ids[row]) for row in rows[:3]) for rows in odd[:3])
        yield Finding(
            "label_noise",
            f"{sum(map(len, odd))} rows have the inputs of another row and a different label "
            f"(rows {shown}{' ...' if len(odd) > 3 else ''})",
            "kept; no model can have both right, look at their labels",
            warning=True,
        )


def _noise(data: Dataset) -> Iterator[Finding]:
    rows = np.array([], dtype=int) if data.simulated else suspicious_labels(data)
    if len(rows):
        shown = ", ".join(str(data.ids[row]) for row in rows[:5])
        yield Finding(
            "label_noise",
            f"{len(rows)} labels contradict what a simple model makes of the row, with confidence "
            f"(rows {shown}{' ...' if len(rows) > 5 else ''})",
            "kept; look at them, mislabelled test rows put a lid on every score",
        )


def _small(data: Dataset, splits: Splits) -> Iterator[Finding]:
    if len(splits.valid) < FEW_VALID_ROWS:
        yield Finding(
            "small",
            f"there are only {len(splits.valid)} validation rows",
            "the choice between candidates is uncertain",
            warning=True,
        )
    target = next(iter(data.targets.values()))
    if target.kind == "regression":
        return
    rows = len(splits.test)
    independent = rows if data.groups is None else len(set(data.groups[splits.test].tolist()))
    least = detectable(independent)
    if least > WORTHWHILE:
        what = f"{rows} test rows" if independent == rows else (
            f"{rows} test rows in {independent} groups"
        )  # fmt: skip
        yield Finding(
            "power",
            f"{what} can show a difference of about {least:.2f} in accuracy or more (80 % power, "
            "two models that disagree on a quarter of the rows)",
            f"a difference of {WORTHWHILE} would need about {rows_needed(WORTHWHILE):,}",
            warning=least > 2 * WORTHWHILE,
        )


def _rare_classes(
    data: Dataset, splits: Splits, targets: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    for name, target in data.targets.items():
        classes = class_names(target, splits.train)
        for side, least in (("train", FEW_TRAIN_ROWS), ("valid", 1), ("test", 1)):
            values = targets[name][splits.sides()[side]]
            counts = [_count(values, index) for index in range(len(classes))]
            rare = [f"{c!r} {n}" for c, n in zip(classes, counts, strict=True) if n < least]
            if rare:
                few = f"fewer than {least} rows" if least > 1 else "no row"
                yield Finding(
                    "rare_classes",
                    f"target {name!r}: {side} has {few} of {len(rare)} of {len(classes)} classes "
                    f"({', '.join(rare[:3])}{' ...' if len(rare) > 3 else ''})",
                    "kept; add rows, or join classes" if least > 1 else "they cannot be scored",
                    warning=True,
                )


def _count(values: np.ndarray, index: int) -> int:
    found = values == index if values.ndim == 1 else values[:, index] == 1
    return int(found.sum())
