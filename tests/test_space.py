"""Spaces: defaults, corners and membership."""

from __future__ import annotations

import pytest

from mmauto.space import Choice, Float, Int, corners, defaults, scoped, unscoped

SPACE = {"rate": Float(0.1, 1.0, 0.5), "depth": Int(1, 3, 2), "kind": Choice(("a", "b"), "b")}


def test_defaults_are_the_declared_ones() -> None:
    assert defaults(SPACE) == {"rate": 0.5, "depth": 2, "kind": "b"}


def test_corners_are_every_combination_of_ends() -> None:
    found = list(corners(SPACE))
    assert len(found) == 8
    assert {"rate": 0.1, "depth": 3, "kind": "a"} in found


def test_too_many_corners_visit_each_end_once_beside_the_defaults() -> None:
    wide = {f"x{place}": Int(0, 9, 5) for place in range(10)}
    found = list(corners(wide, limit=64))
    assert len(found) == 1 + 2 * 10
    assert all(sum(value != 5 for value in corner.values()) <= 1 for corner in found)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Float(0.0, 1.0, 0.5), [0, 0.3, 1.0], [-0.1, 1.1, "x", True]),
        (Int(2, 10, 4, step=2), [2, 8, 10], [3, 12, 4.0, True]),
        (Choice((1, True, "a"), 1), [1, True, "a"], [1.0, "b", False]),
    ],
)
def test_admits(dimension: Float | Int | Choice, inside: list, outside: list) -> None:
    assert all(dimension.admits(value) for value in inside)
    assert not any(dimension.admits(value) for value in outside)


def test_scopes_are_put_on_and_taken_off() -> None:
    params = {f"fusion/{name}": value for name, value in defaults(SPACE).items()}
    assert set(scoped("fusion", SPACE)) == set(params)
    assert unscoped("fusion", {**params, "train/lr": 1.0}) == defaults(SPACE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(0.0, 1.0, 2.0), "a default must lie between low and high"),
        (lambda: Float(0.0, 1.0, 0.5, log=True), "a logarithmic dimension needs low > 0"),
        (lambda: Int(1, 8, 2, log=True, step=2), "either log or stepped"),
        (lambda: Choice(()), "needs at least one option"),
        (lambda: Choice(("a",), "b"), "default must be one of its options"),
    ],
)
def test_impossible_dimensions_say_why(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
