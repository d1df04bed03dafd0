"""Columns that answers are broken down by: read with the table, labelled by the train rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmauto.config import NOT_IDENTITY, StudyConfig, from_mapping
from mmauto.data.columns import DOMAIN, Domains, TabularValues
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.subgroups import subgroup_cells, subgroup_labels
from mmauto.data.table import read_table
from mmauto.errors import ConfigError, DataError
from mmauto.registry import Registry, load_registry
from mmauto.tuning.prepare import load, prepare

EVERY = np.arange(100)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """120 rows; what the columns hold is plain from the row's number."""
    rows = np.arange(120)
    frame = pd.DataFrame(
        {
            "note": [f"the patient says {'good' if row % 2 else 'bad'} day {row}" for row in rows],
            "age": 20 + rows % 60,
            "sex": np.where(rows % 3, "f", " m "),
            "patient": rows // 2,
            "hospital": np.where(rows % 2, "north", "south"),
            "serial": [f"x{row:04d}" for row in rows],
            "label": np.where(rows % 2, "yes", "no"),
        }
    )
    frame.loc[:3, "sex"] = None
    frame.loc[5, "label"] = None
    frame.to_csv(tmp_path / "visits.csv", index=False)
    return tmp_path / "visits.csv"


def prepared(table: Path, **settings: Any) -> Any:
    config = from_mapping({"data": str(table), "target": ["label"], **settings})
    return prepare(config, load_registry(), "cpu")


def cells(*values: object) -> np.ndarray:
    return np.array([None if v is None else str(v) for v in values], dtype=object)


# ------------------------------------------------------------------------------------ labels


def test_whole_numbers_are_cut_into_quartiles_of_the_train_rows_that_do_not_overlap() -> None:
    ages = cells(*range(20, 100), *[200] * 20)
    labels = subgroup_labels(ages, np.arange(80))
    assert list(dict.fromkeys(labels)) == ["up to 39", "40 to 59", "60 to 79", "from 80"]
    assert labels[19:21].tolist() == ["up to 39", "40 to 59"]
    assert set(labels[80:]) == {"from 80"}


def test_other_numbers_are_cut_where_few_digits_say_it() -> None:
    labels = subgroup_labels(cells(*(np.arange(100) / 7)), EVERY)
    assert list(dict.fromkeys(labels)) == [
        "up to 3.54",
        "3.54 to 7.07",
        "7.07 to 10.6",
        "over 10.6",
    ]
    assert np.array_equal(labels == "up to 3.54", np.arange(100) / 7 <= 3.54)


def test_close_numbers_get_the_digits_that_tell_them_apart() -> None:
    labels = subgroup_labels(cells(*(1000 + np.arange(100) / 1000)), EVERY)
    assert len(set(labels)) == 4


def test_numbers_that_repeat_give_fewer_parts() -> None:
    labels = subgroup_labels(cells(*[1] * 75, *range(2, 27)), EVERY)
    assert sorted(set(labels)) == ["from 2", "up to 1"]
    labels = subgroup_labels(cells(*[1] * 30, *[2] * 45, *range(3, 28)), EVERY)
    assert sorted(set(labels)) == ["2", "from 3", "up to 1"]


def test_few_numbers_and_words_are_subgroups_as_they_stand() -> None:
    assert subgroup_labels(cells(*[1, 2, 3] * 20), EVERY[:60]).tolist() == ["1", "2", "3"] * 20
    assert subgroup_labels(cells("f", " f", "m"), EVERY[:3]).tolist() == ["f", "f", "m"]


def test_missing_cells_and_words_among_numbers_are_a_subgroup() -> None:
    assert subgroup_labels(cells("f", None), EVERY[:2]).tolist() == ["f", "(missing)"]
    labels = subgroup_labels(cells(*range(98), None, "old"), EVERY)
    assert labels[98:].tolist() == ["(missing)", "(missing)"]


def test_of_many_words_the_common_ones_of_train_stay() -> None:
    names = [f"w{place}" for place in range(30) for _ in range(30 - place)]
    labels = subgroup_labels(cells(*names, "new"), np.arange(len(names)))
    assert set(labels) == {*(f"w{place}" for place in range(20)), "(other)"}
    assert labels[-1] == "(other)"


def test_infinite_numbers_fall_into_the_outer_parts() -> None:
    labels = subgroup_labels(cells(*range(98), "inf", "-inf"), EVERY)
    assert labels[98:].tolist() == [labels[97], labels[0]]


# ----------------------------------------------------------------------------------- a table


def test_a_column_keeps_its_role_whatever_else_it_is(table: Path) -> None:
    named = ("age", "sex", "patient", "hospital", "serial", "note", "label")
    plain = read_table(table, target="label", domain="hospital")
    data = read_table(table, target="label", domain="hospital", subgroup=named)
    assert data.roles == plain.roles
    assert {g.column: g.role for g in data.roles}["serial"] in ("id", "ignore")
    assert data.columns["tabular"].fields == plain.columns["tabular"].fields
    assert list(data.subgroups) == list(named)
    assert all(len(found) == len(data) == 119 for found in data.subgroups.values())
    assert data.subgroups["age"][:6].tolist() == ["20", "21", "22", "23", "24", "26"]
    assert data.subgroups["sex"][:5].tolist() == [None, None, None, None, "f"]


def test_taken_rows_take_their_subgroups_along(table: Path) -> None:
    data = read_table(table, target="label", subgroup="age")
    assert data.take(np.array([3, 0])).subgroups["age"].tolist() == ["23", "20"]


def test_the_labels_of_the_test_rows_are_prepared(table: Path) -> None:
    found = prepared(table, subgroup=["age", "sex"])
    test, data = found.setup.splits.test, found.setup.dataset
    labels = found.subgroups()
    assert list(labels) == ["age", "sex"]
    assert labels["sex"].tolist() == [
        "(missing)" if cell is None else cell.strip() for cell in data.subgroups["sex"][test]
    ]
    assert len(labels["age"]) == len(test)
    assert prepared(table).subgroups() == {}


def test_subgroups_are_cut_once_for_all_folds(table: Path) -> None:
    folds = [prepared(table, subgroup=["age"], folds=3, fold=fold) for fold in (1, 2, 3)]
    labels = [found.subgroups()["age"].tolist() for found in folds]
    assert sum(map(len, labels)) == 119
    every = folds[0].setup.dataset.subgroups["age"]
    assert {one for own in labels for one in own} == set(subgroup_labels(every, np.arange(119)))
    assert len({one for own in labels for one in own}) == 4


def test_a_study_may_continue_with_other_subgroups(table: Path) -> None:
    assert "subgroup" in NOT_IDENTITY
    assert prepared(table).fingerprint == prepared(table, subgroup="sex").fingerprint
    assert StudyConfig(subgroup=("sex",)).identity() == StudyConfig().identity()


def test_an_unknown_column_is_named_with_the_nearest(table: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_table(table, target="label", subgroup="hospitl")
    assert str(caught.value).startswith(
        f"unknown column 'hospitl' (from subgroup, {table}); did you mean 'hospital'?; available: "
    )
    assert str(caught.value).endswith("name another one with --subgroup")


def test_lists_are_no_subgroups(tmp_path: Path) -> None:
    rows = [{"text": f"t{r}", "tags": ["a", "b"], "label": "yn"[r % 2]} for r in range(8)]
    pd.DataFrame(rows).to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    with pytest.raises(DataError, match="only a target may hold lists, column 'tags' of"):
        read_table(tmp_path / "t.jsonl", target="label", text="text", subgroup="tags")


# ---------------------------------------------------------------------------- data of a task


def made(**changes: Any) -> Dataset:
    values = {"age": np.array([50.0, np.nan, 61.5]), "sex": np.array(["f", None, "m"], object)}
    columns: Mapping[str, Any] = {
        "tabular": TabularValues(values, {"age": "numeric", "sex": "categorical"}),
        DOMAIN: Domains(["n", None, "s"]),
    }
    target = TargetColumn("label", "binary", np.array(["a", "b", None], object))
    whole = {
        "name": "made",
        "columns": columns,
        "targets": {"label": target},
        "ids": np.array(["1", "2", "3"]),
        "groups": np.array(["p", "p", "q"], object),
    }
    return Dataset(**{**whole, **changes})


def test_fields_domain_groups_and_targets_of_a_task_can_be_named() -> None:
    found = subgroup_cells(made(), ["age", "sex", "domain", "group", "label"])
    assert {name: values.tolist() for name, values in found.items()} == {
        "age": ["50", None, "61.5"],
        "sex": ["f", None, "m"],
        "domain": ["n", None, "s"],
        "group": ["p", "p", "q"],
        "label": ["a", "b", None],
    }


def test_what_a_task_keeps_as_subgroups_comes_first() -> None:
    own = {"sex": cells("x", "y", "z"), "ward": cells(1, 2, 3)}
    found = subgroup_cells(made(subgroups=own), ["ward", "sex"])
    assert found["sex"].tolist() == ["x", "y", "z"]
    assert found["ward"].tolist() == ["1", "2", "3"]


def test_a_column_that_a_task_does_not_have_is_refused_alike() -> None:
    with pytest.raises(ConfigError) as caught:
        subgroup_cells(made(groups=None), ["sexx"])
    assert str(caught.value) == (
        "unknown column 'sexx' (from subgroup, the data of 'made'); did you mean 'sex'?; "
        "available: age, domain, label, sex; name another one with --subgroup"
    )


def test_a_task_that_makes_its_data_is_asked_for_its_fields(monkeypatch: Any) -> None:
    from mmauto_medical.task import Medical

    monkeypatch.setattr(Medical, "rows", 120)
    registry: Registry = load_registry()
    with pytest.raises(ConfigError, match=r"unknown column 'nothing' .*the data of 'medical'"):
        prepare(from_mapping({"task": "medical", "subgroup": "nothing"}), registry, "cpu")
    config = from_mapping({"task": "medical", "subgroup": ["urgent", "age"]})
    labels = prepare(config, registry, "cpu").subgroups()
    assert all(label.split()[0] in ("up", "from", "over") or " to " in label for label in
               set(labels["age"]) - {"(missing)"})  # fmt: skip


def test_a_task_with_a_table_reads_the_columns(table: Path) -> None:
    Image.new("L", (8, 8)).save(table.parent / "p.png")
    frame = pd.read_csv(table).assign(image="p.png")
    frame.to_csv(table, index=False)
    named = {"task": "medical", "text": "note", "subgroup": "hospital"}
    data = load(from_mapping({**named, "data": str(table)}), load_registry())
    assert set(data.subgroups["hospital"]) == {"north", "south"}
