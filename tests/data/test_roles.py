"""Roles of columns: guessed from names and cells, and what the user said wins."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmauto.config import from_mapping
from mmauto.data.roles import guess_roles
from mmauto.data.table import read_table
from mmauto.errors import DataError
from mmauto.registry import load_registry
from mmauto.tuning.prepare import prepare

ROWS = 60


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def words(count: int, seed: int = 0) -> list[str]:
    chosen = np.random.default_rng(seed).choice([f"word{i}" for i in range(50)], (ROWS, count))
    return [" ".join(row) for row in chosen]


CASES: list[tuple[str, list[Any], str, str]] = [
    ("photo", [f"p/{i}.JPG" for i in range(ROWS)], "image", "paths of pictures"),
    ("scan", [png()] * ROWS, "image", "pictures as bytes"),
    ("scan", [base64.b64encode(png()).decode()] * ROWS, "image", "pictures as base64 text"),
    ("note", words(8), "text", "8 words a cell"),
    ("title", words(2), "text", "2.0 words a cell"),
    ("age", [str(20 + i / 7) for i in range(ROWS)], "numeric", "numbers from 20 to"),
    ("grade", ["1", "2", "3"] * 20, "numeric", "numbers from 1 to 3"),
    ("price", [*map(str, range(5, 63)), "free", "x"], "numeric", "are words and count as missing"),
    ("ward", ["north", "south", "east"] * 20, "categorical", "3 different values"),
    ("visit_id", [f"v{i}" for i in range(ROWS)], "id", "named like an id"),
    ("patient_id", [f"p{i // 3}" for i in range(ROWS)], "group", "20 different values"),
    ("fold", ["train", "val", "test"] * 20, "split", "says test, train, val"),
    ("fold", ["train", "val"] * 30, "ignore", "no whole split"),
    ("row", [str(i) for i in range(ROWS)], "ignore", "a running number"),
    ("seen", ["2024-01-02", "2023-11-30"] * 30, "ignore", "dates"),
    ("same", ["x"] * ROWS, "ignore", "always 'x'"),
    ("empty", [None] * ROWS, "ignore", "empty"),
    ("sound", [f"a/{i}.wav" for i in range(ROWS)], "ignore", "that no encoder reads"),
    ("code", [f"XK{i * 37}" for i in range(ROWS)], "id", "one word a cell, all different"),
    ("code", [f"XK{i * 37}" if i else None for i in range(ROWS)], "ignore", "names or codes"),
    ("tags", [("a", "b")] * ROWS, "ignore", "lists, which only a target"),
    ("blob", [b"\x00\x01"] * ROWS, "ignore", "bytes that are no picture"),
]


@pytest.mark.parametrize(("name", "cells", "role", "reason"), CASES)
def test_every_kind_of_column(name: str, cells: list[Any], role: str, reason: str) -> None:
    (guess,) = guess_roles({name: cells}, {}, [])
    assert guess.role == role, guess
    assert reason in guess.reason


def test_what_is_named_wins_and_a_second_split_or_id_is_ignored() -> None:
    sides = ["train", "valid", "test"] * 20
    columns = {
        "official_split": sides, "split": sides, "id": [str(i) for i in range(ROWS)],
        "row_id": [f"r{i}" for i in range(ROWS)], "age": ["1", "2", "3"] * 20, "y": ["a", "b"] * 30,
    }  # fmt: skip
    found = {guess.column: guess for guess in guess_roles(columns, {"age": "categorical"}, ["y"])}
    assert found["split"].role == "split"
    assert found["official_split"].reason == "another column is the split"
    assert found["id"].role == "id"
    assert found["row_id"].reason == "another column is the id"
    assert (found["age"].role, found["age"].reason) == ("categorical", "named")
    assert found["y"].role == "target"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for index in range(ROWS):
        Image.new("RGB", (8, 8), (index * 4, 0, 0)).save(tmp_path / f"{index}.png")
    paths = [f"{index}.png" for index in range(ROWS)]
    frame = pd.DataFrame(
        {
            "front": paths, "back": paths[::-1], "title": words(2), "body": words(9, 1),
            "age": np.arange(ROWS) / 7, "y": ["a", "b"] * 30,
        }
    )  # fmt: skip
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_several_columns_of_a_modality_are_inputs_of_their_own(table: Path) -> None:
    data = read_table(table, target="y")
    assert list(data.columns) == ["image:front", "image:back", "text:title", "text:body", "tabular"]
    assert data.source("image:back") == ("back",)


def test_the_resolved_configuration_gives_the_same_data(table: Path) -> None:
    registry = load_registry()
    settings = {
        "data": str(table),
        "target": "y",
        "roles": {"age": "categorical", "back": "ignore"},
    }
    first = prepare(from_mapping(settings), registry, "cpu")
    config = first.config
    assert (config.image, config.text, config.tabular) == (("front",), ("title", "body"), ("age",))
    assert config.roles == {"age": "categorical"}
    again = prepare(config, registry, "cpu")
    assert again.fingerprint == first.fingerprint
    assert again.config == config


def test_wrong_roles_are_refused(table: Path) -> None:
    with pytest.raises(DataError, match=r"unknown role 'txt' \(from --role body=txt\); did you"):
        read_table(table, target="y", roles={"body": "txt"})
    with pytest.raises(DataError, match="is named as text and by --role"):
        read_table(table, target="y", text="body", roles={"body": "image"})
    with pytest.raises(DataError, match=r"unknown column 'agee' \(from role"):
        read_table(table, target="y", roles={"agee": "ignore"})
