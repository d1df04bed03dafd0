"""A database that was changed by hand is a sentence wherever it is opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mmauto.engine.jobs import Outcome
from mmauto.errors import StoreError
from mmauto.store.place import settle
from mmauto.store.study import NewTrial, StudyStore

NewStudy = Callable[..., StudyStore]

TASK = {
    "name": "t", "modalities": {}, "primary": "y", "metric": "accuracy", "simulated": False,
    "targets": {"y": {"name": "y", "kind": "binary", "classes": ["a", "b"]}},
}  # fmt: skip


def alter(path: Path, table: str, column: str, value: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE mmauto_{table} SET {column} = ?", (value,))


@pytest.fixture
def study(tmp_path: Path, new_study: NewStudy) -> Path:
    store = new_study(tmp_path / "s")
    for purpose in ("search", "confirm"):
        (identity,) = store.begin([NewTrial("one", purpose, 0, 0, 0, {"train/lr": 0.1})])
        store.finish(Outcome(identity, "complete", 0.5, 0, (0.5,)))
    store.close()
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("task", [], r"task must be an object, \[\] was given in"),
        ("task", 3, "task must be an object, 3 was given in"),
        ("task", {}, r"task\.\w+ must be there, nothing was given in"),
        ("task", {**TASK, "name": None}, r"task\.name must be a text, None was given in"),
        ("task", {**TASK, "primary": "z"}, r"task\.primary must be one of y, 'z' was given in"),
        ("task", {**TASK, "extra": 1}, "a name in task must be one of .*, 'extra' was given in"),
        ("task", {**TASK, "simulated": "no"}, r"task\.simulated must be true or false, 'no' was"),
        ("task", {**TASK, "targets": {"y": {**TASK["targets"]["y"], "classes": "ab"}}},
         r"task\.targets\.y\.classes must be a list, 'ab' was given in"),
        ("task", {**TASK, "targets": {"y": {**TASK["targets"]["y"], "kind": ["odd"]}}},
         r"task\.targets\.y\.kind must be one of binary, .*, \['odd'\] was given in"),
        ("config", 3, "config must be an object, 3 was given in"),
        ("config", None, "config must be an object, None was given in"),
        ("config", "x" * 1000, r"config must be an object, 'x+\.\.\.x+' was given in"),
        ("environment", [], r"environment must be an object, \[\] was given in"),
        ("facts", [1], r"facts must be an object, \[1\] was given in"),
        ("facts", {"spent": [1]}, r"facts\.spent must be an object, \[1\] was given in"),
        ("facts", {"home": "x"}, r"facts\.home must be an object, 'x' was given in"),
        ("facts", {"ceiling": {"all": "x"}}, r"facts\.ceiling\.all must be a number, 'x' was"),
        ("facts", {"rows": 5}, r"facts\.rows must be an object, 5 was given in"),
        ("facts", {"roles": [{}]}, r"facts\.roles\[0\]\.\w+ must be there, nothing was given in"),
        ("facts", {"findings": [1]}, r"facts\.findings\[0\] must be an object, 1 was given in"),
        ("facts", {"notes": [1]}, r"facts\.notes\[0\] must be a text, 1 was given in"),
    ],
)  # fmt: skip
def test_a_study_of_another_shape_is_refused(
    study: Path, column: str, value: Any, said: str
) -> None:
    alter(study / "study.db", "studies", column, json.dumps(value))
    with pytest.raises(StoreError, match=rf"as mmauto wrote it: {said}") as refused:
        StudyStore.open(study)
    sentence = str(refused.value)
    assert sentence.endswith(f"was given in sqlite:///{study}/study.db; restore it from a copy")
    assert len(sentence) < 250 + len(str(study))


def test_a_fact_that_is_gone_is_named_by_who_needs_it(study: Path) -> None:
    alter(study / "study.db", "studies", "facts", "{}")
    store = StudyStore.open(study)
    assert store is not None
    with closing(store), pytest.raises(StoreError, match=r"facts\.ceiling must be there, nothing"):
        store.facts["ceiling"]


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("trials", "params", "[]", r"trial \d's params must be an object, \[\] was given in"),
        ("trials", "costs", "7", r"trial \d's costs must be an object, 7 was given in"),
        ("trials", "costs", '{"x": 1}', r"a name in trial \d's costs must be one of .*, 'x' was"),
        ("trials", "costs", '{"parameters": []}', r"trial \d's costs.parameters must be a number"),
        ("arms", "importances", '{"a": "b"}', r"arm one's importances.a must be a number, 'b'"),
    ],
)
def test_trials_and_arms_of_another_shape_are_refused(
    study: Path, table: str, column: str, value: str, said: str
) -> None:
    alter(study / "study.db", table, column, value)
    store = StudyStore.open(study)
    assert store is not None
    with closing(store):
        for read in (store.trials, store.confirmations) if table == "trials" else (store.arms,):
            with pytest.raises(StoreError, match=said):
                read()


@pytest.mark.parametrize("facts", ["{", "[" * 100_000, "[1]", '{"home": 1}', "null"])
def test_a_name_that_an_altered_study_has_is_taken(
    tmp_path: Path, new_study: NewStudy, facts: str
) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    new_study(tmp_path / "s", "s", url).close()
    alter(tmp_path / "team.db", "studies", "facts", facts)
    for ask in (lambda: settle(tmp_path / "t", "s", url), lambda: StudyStore.open(tmp_path / "s")):
        with pytest.raises(StoreError, match=r"must be read from .*team\.db|'s' of another folder"):
            ask()
