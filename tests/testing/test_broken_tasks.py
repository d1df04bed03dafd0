"""Each check of tasks can fail: one broken task a check."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmauto.errors import PluginError
from mmauto.plugin import DataError, Dataset, TabularValues, TargetColumn, Task, Texts
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_task import CHECKS

ROWS = 10


class Good(Task):
    """Ten notes with a label each."""

    name = "good"
    summary = "notes"
    reference = "made up"

    def load(self, source, options):
        if source is not None:
            raise DataError(f"the folder {source!r} does not exist; check --data")
        return self.change(
            Dataset(
                name="good",
                columns={"text": Texts([f"note {row}" for row in range(ROWS)])},
                targets={"label": TargetColumn("label", "binary", np.array(["no", "yes"] * 5))},
                ids=np.array([f"row-{row}" for row in range(ROWS)]),
            )
        )

    def change(self, data):
        return data


def changed(**fields):
    """A task whose data set has other ``fields``."""
    return type("Changed", (Good,), {"change": lambda _, d: dataclasses.replace(d, **fields)})


def labelled(**fields):
    """A task whose target has other ``fields``."""
    column = TargetColumn("label", "binary", np.array(["no", "yes"] * 5))
    return changed(targets={"label": dataclasses.replace(column, **fields)})


class Mumbles(Good):
    def load(self, source, options):
        raise DataError("no")


class GivesATable(Good):
    def change(self, data):
        return data.columns


class IgnoresTheSource(Good):
    def load(self, source, options):
        return super().load(None, options)


class HidesTheSource(Good):
    def load(self, source, options):
        if source is not None:
            raise DataError("that folder does not exist")
        return super().load(None, options)


class DrawsAtRandom(Good):
    def change(self, data):
        values = {"age": np.random.default_rng().normal(size=ROWS)}
        return dataclasses.replace(
            data, columns={"tabular": TabularValues(values, {"age": "numeric"})}
        )


class HoldsAFunction(Good):
    def change(self, data):
        return dataclasses.replace(data, notes=(lambda: "a note",))


BROKEN = [
    (Mumbles, "loads_or_says_why", "says too little"),
    (GivesATable, "loads_or_says_why", "load returned dict"),
    (IgnoresTheSource, "missing_source", "raised nothing"),
    (HidesTheSource, "missing_source", "does not name"),
    (changed(groups=np.array(["a"])), "lengths_agree", "{'groups': 1} beside 10 ids"),
    (changed(ids=np.array(["a"] * ROWS)), "names_agree", "ids appear twice"),
    (changed(split=np.array(["dev"] * ROWS)), "names_agree", "the split holds ['dev']"),
    (labelled(name="other"), "names_agree", "targets under another name"),
    (labelled(values=np.array(["no"] * ROWS)), "labels_fit", "has only ['no']"),
    (labelled(classes=("no", "maybe")), "labels_fit", "['yes'], not among its classes"),
    (labelled(kind="regression"), "labels_fit", "label holds"),
    (DrawsAtRandom, "determinism", "two loads with one seed differ"),
    (HoldsAFunction, "picklable", "pickle"),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    task = broken()
    [check] = [check for _, check in component_checks(task) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(task)
    assert seen in str(caught.value)


def test_every_check_has_a_broken_task():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_task_that_they_break_is_sound():
    check_component(Good())


def test_a_task_that_needs_the_users_data_may_say_so():
    class NeedsData(Good):
        def load(self, source, options):
            if source is None:
                raise DataError("this task reads a table; name its folder with --data")
            return super().load(source, options)

    check_component(NeedsData())
