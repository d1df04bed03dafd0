from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmauto.data.table import read_table
from mmauto.errors import DataError

Row = dict[str, Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as JSON lines, whose cells may be anything."""

    def write(rows: list[Row], name: str = "t.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return path

    return write


def rows_of(**columns: list[Any]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


LABELS = ["no", "yes", "no", "yes"]


def refused(path: Path, **roles: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(path, **{"target": ["label"], "text": ["text"], **roles})
    return str(caught.value)


def test_columns_of_every_modality(write: Callable[..., Path], tmp_path: Path) -> None:
    for index in range(2):
        Image.new("L", (4, 4), index).save(tmp_path / f"{index}.png")
    path = write(
        rows_of(
            picture=["0.png", " 1.png ", None, "0.png"],
            note=[" a note ", "  ", "b", "NaN"],
            age=[50, "61.5", None, "NA"],
            sex=["f", " m", None, None],
            label=LABELS,
        ),
        "visits.jsonl",
    )
    data = read_table(
        path, target="label", image="picture", text="note", tabular=["age", "sex"], metric="auroc"
    )
    assert list(data.columns) == ["image", "text", "tabular"]
    assert data.columns["image"].present.tolist() == [True, True, False, True]
    assert list(data.columns["text"]) == [" a note ", None, "b", None]
    assert data.columns["tabular"].fields == {"age": "numeric", "sex": "categorical"}
    assert list(data.columns["tabular"]) == [
        {"age": 50.0, "sex": "f"},
        {"age": 61.5, "sex": "m"},
        None,
        None,
    ]
    assert (data.name, data.targets["label"].metric, data.notes) == ("visits", "auroc", ())
    assert data.ids.tolist() == ["1", "2", "3", "4"]
    assert data.groups is None
    assert data.split is None
    assert list(pickle.loads(pickle.dumps(data)).columns["text"]) == list(data.columns["text"])


def test_several_columns_of_a_modality_have_their_names_in_the_key(
    write: Callable[..., Path],
) -> None:
    path = write(rows_of(title=list("abcd"), body=list("efgh"), label=LABELS))
    data = read_table(path, target=["label"], text=["title", "body"])
    assert list(data.columns) == ["text:title", "text:body"]
    assert list(data.columns["text:body"]) == list("efgh")


def test_targets_keep_their_order_and_the_metric_is_the_primarys(
    write: Callable[..., Path],
) -> None:
    path = write(rows_of(text=list("abcd"), label=LABELS, days=[1.5, None, 2.5, 3.5]))
    data = read_table(path, target=["days", "label"], text="text", metric="mae")
    assert [(t.name, t.kind, t.metric) for t in data.targets.values()] == [
        ("days", "regression", "mae"),
        ("label", "binary", ""),
    ]


def test_rows_without_any_label_are_left_out(write: Callable[..., Path]) -> None:
    path = write(
        rows_of(
            text=list("abcde"),
            image=[None, "no.png", None, None, None],
            label=["no", None, "yes", None, "no"],
            days=[1.5, None, None, 2.5, 3.5],
        )
    )
    data = read_table(path, target=["label", "days"], text="text")
    assert data.notes == ("rows without any label, left out: 1 of 5",)
    assert list(data.columns["text"]) == ["a", "c", "d", "e"]
    assert data.ids.tolist() == ["1", "3", "4", "5"]
    assert data.targets["label"].values.tolist() == ["no", "yes", None, "no"]


def test_infinite_numbers_count_as_missing(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), age=["1", "inf", "2", "1e999"], label=LABELS))
    data = read_table(path, target="label", text="text", tabular="age")
    assert data.columns["tabular"].present.tolist() == [True, False, True, False]
    assert data.notes == ("column 'age': infinite numbers count as missing (2)",)


def test_a_stray_word_makes_a_column_categorical_with_a_note(write: Callable[..., Path]) -> None:
    path = write(rows_of(age=["1", "2", "old", "3"], label=LABELS))
    data = read_table(path, target="label", tabular="age")
    assert data.columns["tabular"].fields == {"age": "categorical"}
    assert data.notes == (
        "column 'age' is read as categories, not as numbers, because of 1 of its 4 values "
        "(e.g. 'old')",
    )


def test_group_split_and_id_are_found_by_name(write: Callable[..., Path]) -> None:
    rows = rows_of(
        text=list("abcd"),
        label=LABELS,
        id=["r1", "r2", "r3", 4],
        group=["p", None, "p", 2],
        split=["train", "Validation", " val", "TEST"],
    )
    data = read_table(write(rows), target="label", text="text")
    assert data.ids.tolist() == ["r1", "r2", "r3", "4"]
    assert data.groups is not None
    assert data.groups.tolist() == ["p", "row r2", "p", "2"]
    assert data.split is not None
    assert data.split.tolist() == ["train", "valid", "valid", "test"]
    assert data.notes == ("rows without a group in 'group', each a group of its own: 1",)

    off = read_table(write(rows), target="label", text="text", group="", split="", id="")
    assert (off.groups, off.split, off.ids.tolist()) == (None, None, ["1", "2", "3", "4"])

    named = read_table(write(rows), target="label", text="text", group="id", tabular="group")
    assert named.groups is not None
    assert named.groups.tolist() == ["r1", "r2", "r3", "4"]
    assert named.ids.tolist() == ["1", "2", "3", "4"]


def test_the_words_of_a_split_column(write: Callable[..., Path]) -> None:
    words = ["train", "valid", "val", "validation", "dev", "test"]
    path = write(rows_of(text=list("abcdef"), label=["no", "yes"] * 3, part=words))
    data = read_table(path, target="label", text="text", split="part")
    assert data.split is not None
    assert data.split.tolist() == ["train", *["valid"] * 4, "test"]


@pytest.mark.parametrize("name", ["data.jsonl", "folder"])
def test_a_folder_gives_the_name(write: Callable[..., Path], tmp_path: Path, name: str) -> None:
    write(rows_of(text=list("abcd"), label=LABELS), "data.jsonl")
    path = tmp_path if name == "folder" else tmp_path / name
    assert read_table(path, target="label", text="text").name == tmp_path.name
    assert read_table(path, target="label", text="text", name="mine").name == "mine"


def test_the_same_data_set_from_every_format(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = rows_of(
        text=["a", None, "c", "d"],
        n=[1, 2, None, 4],
        c=[True, None, False, True],
        label=[0, 1, None, 1],
    )
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "t.csv").write_text("text,n,c,label\na,1,True,0\n,2,,1\nc,,False,\nd,4,True,1\n")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    read = [
        read_table(tmp_path / f"t.{suffix}", target="label", text="text", tabular=["n", "c"])
        for suffix in ("jsonl", "csv", "parquet")
    ]
    assert len({data.columns["text"].digest() for data in read}) == 1
    assert len({data.columns["tabular"].digest() for data in read}) == 1
    assert {tuple(data.targets["label"].values) for data in read} == {("0", "1", "1")}
    assert {data.targets["label"].kind for data in read} == {"binary"}


def test_unknown_columns(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), label=LABELS))
    assert refused(path, text=["txet"]) == (
        f"unknown column 'txet' (from text, {path}); did you mean 'text'?; available: label, "
        "text; name another one with --text"
    )
    assert f"unknown column 'patient' (from group, {path})" in refused(path, group="patient")


def test_a_column_has_one_role(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), label=LABELS))
    assert refused(path, tabular=["label"]) == (
        f"a column has one role, 'label' of {path} is named as target and as tabular; "
        "leave one of them out"
    )
    assert "named as text and as text" in refused(path, text=["text", "text"])
    assert "named as target and as split" in refused(path, split="label")


def test_a_task_needs_targets_and_inputs(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), label=LABELS))
    assert list(read_table(path, text="text").targets) == ["label"]  # called like a label
    path = write(rows_of(text=list("abcd"), answer=LABELS))
    assert refused(path, target=[]) == (
        f"a task needs a target, none is named for {path}; name the column to predict with "
        "--target, it has text, answer"
    )
    path = write(rows_of(text=list("abcd"), label=LABELS))
    assert read_table(path, target="label").roles[0].role == "categorical"
    path = write(rows_of(same=list("aaaa"), label=LABELS))
    assert refused(path, text=[]) == (
        f"a task needs inputs, no column of {path} can be one: same (always 'a'); name columns "
        "with --image, --text or --tabular"
    )


def test_empty_columns(write: Callable[..., Path]) -> None:
    rows = rows_of(text=[None, "b", " ", ""], label=["no", None, "yes", "no"])
    path = write(rows)
    assert refused(path) == (
        f"an input column needs at least one value, 'text' of {path} has none in the rows with a "
        "label; leave the column out"
    )
    path = write(rows_of(text=list("ab"), label=[None, None]))
    assert "a target needs labels, target 'label' of" in refused(path)


def test_lists_in_an_input(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=[["a"], "b", "c", "d"], label=LABELS))
    assert refused(path) == (
        f"only a target may hold lists, column 'text' of {path} does; join them into one text"
    )


def test_ids_that_repeat(write: Callable[..., Path]) -> None:
    path = write(
        rows_of(text=list("abcd"), label=LABELS, id=list("xyyz"), key=["a", None, "b", "c"])
    )
    assert refused(path, id="id") == (
        f"row ids are unique and never missing, in column 'id' of {path} 'y' stands 2 times; "
        "mend them, or name no id column to have rows numbered"
    )
    assert "in column 'key' of" in refused(path, id="key")
    assert "1 are missing" in refused(path, id="key")
    data = read_table(path, target="label", text="text")
    assert data.ids.tolist() == list("1234")
    assert [str(found) for found in data.findings] == [
        "column 'id' is not used as row id, since 'y' stands 2 times; rows are numbered",
    ]


def test_other_words_in_a_split_column(write: Callable[..., Path]) -> None:
    path = write(
        rows_of(text=list("abcd"), label=LABELS, split=["train", "holdout", "holdout", None])
    )
    assert refused(path) == (
        f"a split column says train, valid (val, validation, dev) or test, 'split' of {path} says "
        "'holdout' 2×, '(empty)' 1×; mend it, or name no split column (an empty name)"
    )


def test_images_of_left_out_rows_are_not_opened(write: Callable[..., Path], tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    images, labels = ["a.png", "gone.png", "a.png"], ["no", None, "yes"]
    path = write(rows_of(image=images, label=labels))
    assert len(read_table(path, target="label", image="image")) == 2
    path = write(rows_of(image=images, label=["no", "no", "yes"]))
    assert "1 of 3 cannot be used: 1 not found ('gone.png'" in refused(path, text=[], image="image")


def test_numeric_columns_are_floats(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), age=[1, "2", 3.5, None], label=LABELS))
    values = (
        read_table(path, target="label", text="text", tabular="age")
        .columns["tabular"]
        .values["age"]
    )
    np.testing.assert_array_equal(values, [1.0, 2.0, 3.5, np.nan])


def test_labels_between_a_separator_of_one_s_own(write: Callable[..., Path]) -> None:
    path = write(rows_of(text=list("abcd"), label=["x;y", "y", "x", "z;x"]))
    data = read_table(path, target="label", text="text", separator=";")
    assert data.targets["label"].classes == ("x", "y", "z")
    assert data.targets["label"].values.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1]]
    path = write(rows_of(text=list("abcd"), label=LABELS))
    with pytest.raises(DataError, match="'#' stands in no cell of label of"):
        read_table(path, target="label", text="text", separator="#")


@pytest.mark.parametrize("said", [{"domain": "site"}, {"roles": {"site": "domain"}}])
def test_a_domain_is_named_and_is_no_input(
    write: Callable[..., Path], said: dict[str, Any]
) -> None:
    words = ["good", "fine", "poor", "bad"] * 5
    table = rows_of(note=[f"{w} day {i}" for i, w in enumerate(words)], y=[0, 1] * 10,
                    site=["north", "south"] * 10)  # fmt: skip
    data = read_table(write(table), target="y", **said)
    assert list(data.columns["domain"].take([0, 1])) == ["north", "south"]
    assert data.source("domain") == ("site",)
    assert [guess.role for guess in data.roles if guess.column == "site"] == ["domain"]


def test_unlabelled_rows_are_kept_where_they_are_asked_for(write: Callable[..., Path]) -> None:
    table = rows_of(note=[f"word {i}" for i in range(20)], y=["a", "b", ""] * 6 + ["a", "b"])
    data = read_table(write(table), target="y", text="note", unlabelled=True)
    assert len(data) == 20
    assert any("kept in train: 6 of 20" in note for note in data.notes)
