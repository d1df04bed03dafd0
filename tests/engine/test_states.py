"""Fitted states come back as they were, and from nothing but what they were fitted with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmauto.engine.entries import STATES
from mmauto.engine.states import remembered_state

ABOUT = {"encoder": "e", "params": {"size": 3}, "train": "abc"}
STATE = {
    "vocabulary": ["a", "ü", "\0"],
    "idf": np.array([0.1, 2.5]),
    "table": torch.tensor([[1, 2]], dtype=torch.int32),
    "depth": {"x": [1, None, 2.5]},
    "empty": np.zeros(0),
}


class Fits:
    """Counts how often it fits."""

    def __init__(self, state: Any):
        self.state, self.count = state, 0

    def __call__(self) -> Any:
        self.count += 1
        return self.state


def same(one: Any, two: Any) -> bool:
    return (
        list(one) == list(two)
        and all(type(one[name]) is type(two[name]) for name in one)
        and all(
            value.dtype == two[name].dtype and np.array_equal(value, two[name])
            if hasattr(value, "dtype")
            else value == two[name]
            for name, value in one.items()
        )
    )


def test_a_state_is_fitted_once_and_comes_back_as_it_was(tmp_path: Path) -> None:
    fit = Fits(STATE)
    assert remembered_state(tmp_path, ABOUT, fit) is STATE
    assert same(remembered_state(tmp_path, ABOUT, fit), STATE)
    assert fit.count == 1


@pytest.mark.parametrize(
    "other", [{"train": "abd"}, {"params": {"size": 4}}, {"encoder": "f"}, {"more": 1}]
)
def test_other_ingredients_fit_anew(tmp_path: Path, other: dict[str, Any]) -> None:
    remembered_state(tmp_path, ABOUT, Fits(STATE))
    fit = Fits({"own": 1})
    assert remembered_state(tmp_path, {**ABOUT, **other}, fit) == {"own": 1}
    assert fit.count == 1


@pytest.mark.parametrize("damage", [b"", b"x" * 400])
def test_a_damaged_file_is_fitted_anew(tmp_path: Path, damage: bytes) -> None:
    remembered_state(tmp_path, ABOUT, Fits(STATE))
    (file,) = (tmp_path / STATES).iterdir()
    file.write_bytes(damage)
    fit = Fits(STATE)
    remembered_state(tmp_path, ABOUT, fit)
    assert fit.count == 1
    assert same(remembered_state(tmp_path, ABOUT, fit), STATE)
    assert fit.count == 1


@pytest.mark.parametrize(
    "state", [{"pair": (1, 2)}, {"seen": {"a"}}, {1: "a"}, {"words": np.array(["a"])}]
)
def test_what_would_not_come_back_as_it_was_is_fitted_every_time(
    tmp_path: Path, state: Any
) -> None:
    fit = Fits(state)
    for _ in range(2):
        assert remembered_state(tmp_path, ABOUT, fit) is state
    assert fit.count == 2


def test_a_folder_that_cannot_be_written_to_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    fit = Fits(STATE)
    for _ in range(2):
        assert remembered_state(tmp_path / "file", ABOUT, fit) is STATE
    assert fit.count == 2
