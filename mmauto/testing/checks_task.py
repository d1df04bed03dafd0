"""What every task keeps."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from mmauto.contracts import Task
from mmauto.data.dataset import Dataset
from mmauto.errors import DataError
from mmauto.testing.fakes import expect

NOWHERE = "no/such/folder"


def loads_or_says_why(task: Task) -> None:
    """Without a source it makes its own data, or raises a DataError that asks for one."""
    try:
        data = task.load(None, {"seed": 0})
    except DataError as error:
        expect(len(str(error)) > 20, f"DataError({str(error)!r}) says too little")
        return
    expect(isinstance(data, Dataset), f"load returned {type(data).__name__}")
    expect(len(data) > 0, "no rows")


def missing_source(task: Task) -> None:
    """A source that does not exist ends as a DataError that names it."""
    try:
        task.load(NOWHERE, {"seed": 0})
    except DataError as error:
        expect(NOWHERE in str(error), f"DataError({str(error)!r}) does not name {NOWHERE!r}")
        return
    expect(False, f"load({NOWHERE!r}) raised nothing")


def lengths_agree(task: Task) -> None:
    """Columns, targets, groups, split and ideal scores have as many rows as there are ids."""
    data = _own(task)
    if data is None:
        return
    parts: dict[str, int] = {f"column {key}": len(part) for key, part in data.columns.items()}
    parts |= {f"presence of {key}": len(part.present) for key, part in data.columns.items()}
    parts |= {f"target {name}": len(part.values) for name, part in data.targets.items()}
    parts |= {f"ideal {name}": len(part) for name, part in data.ideal.items()}
    for name in ("groups", "split"):
        given = getattr(data, name)
        parts |= {} if given is None else {name: len(given)}
    odd = {name: count for name, count in parts.items() if count != len(data.ids)}
    expect(not odd, f"{odd} beside {len(data.ids)} ids")


def names_agree(task: Task) -> None:
    """There is a column and a target, each under its own name, and ids are unique."""
    data = _own(task)
    if data is None:
        return
    expect(bool(data.columns) and bool(data.targets), "no column, or no target")
    odd = [key for key, target in data.targets.items() if target.name != key]
    expect(not odd, f"targets under another name: {odd}")
    expect(len(set(data.ids.tolist())) == len(data.ids), "ids appear twice")
    known = {"train", "valid", "test"}
    strange = set() if data.split is None else set(data.split.tolist()) - known
    expect(not strange, f"the split holds {sorted(strange)}, not only {sorted(known)}")


def labels_fit(task: Task) -> None:
    """Labels are of the declared classes; numbers are numbers; two classes at least occur."""
    data = _own(task)
    if data is None:
        return
    for name, target in data.targets.items():
        if target.kind in ("regression", "multilabel"):
            expect(target.values.dtype.kind in "fiu", f"{name} holds {target.values.dtype}")
            continue
        seen = {str(value) for value in target.values if value is not None and value == value}
        expect(len(seen) > 1, f"{name} has only {sorted(seen)}")
        odd = seen - set(target.classes) if target.classes else set()
        expect(not odd, f"{name} holds {sorted(odd)}, not among its classes {target.classes}")


def determinism(task: Task) -> None:
    """The same options give the same samples, labels and ids."""
    data = _own(task)
    if data is None:
        return
    again = task.load(None, {"seed": 0})
    expect(_digests(data) == _digests(again), "two loads with one seed differ")


def picklable(task: Task) -> None:
    """The data set can be sent to another process, and arrives the same."""
    data = _own(task)
    if data is None:
        return
    back = pickle.loads(pickle.dumps(data))
    expect(_digests(back) == _digests(data), "another data set came out of pickle")


CHECKS = (
    loads_or_says_why,
    missing_source,
    lengths_agree,
    names_agree,
    labels_fit,
    determinism,
    picklable,
)


@lru_cache(maxsize=1)
def _own(task: Task) -> Dataset | None:
    """The data that the task brings itself; None where it needs the user's.

    Kept for the next check of the same task: making the data may take seconds.
    """
    try:
        return task.load(None, {"seed": 0})
    except DataError:
        return None


def _digests(data: Dataset) -> Mapping[str, str]:
    columns = {key: part.digest() for key, part in data.columns.items()}
    targets = {name: repr(part.values.tolist()) for name, part in data.targets.items()}
    ideal = {name: repr(np.asarray(part).tolist()) for name, part in data.ideal.items()}
    return {**columns, **targets, **ideal, "ids": repr(data.ids.tolist())}
