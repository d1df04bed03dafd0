"""The tabular perceptron: statistics of train rows, missing cells, categories that are new."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_tabular.fields import EXTREME
from mmauto_tabular.mlp import Mlp

from mmauto.plugin import TabularValues

PARAMS = {"width": 32, "depth": 2, "dropout": 0.1}
FIELDS = {"sex": "categorical", "age": "numeric", "pulse": "numeric"}
NAN = float("nan")


def table(age: list[float], pulse: list[float], sex: list[str | None]) -> TabularValues:
    values = {"age": np.array(age), "pulse": np.array(pulse), "sex": np.array(sex, dtype=object)}
    return TabularValues(values, FIELDS)


TRAIN = table([40.0, 60.0, NAN, 80.0], [90.0, NAN, NAN, 70.0], ["f", "m", None, "f"])


def run(column: TabularValues, train: TabularValues = TRAIN) -> torch.Tensor:
    state = Mlp().fit(train, PARAMS)
    torch.manual_seed(0)
    with torch.no_grad():
        found = Mlp().build(state, PARAMS).eval()(**Mlp().prepare(column, state, PARAMS))
    assert found.values.isfinite().all()
    assert found.mask.all()
    return found.values[:, 0]


def test_numbers_are_standardised_over_the_known_train_values() -> None:
    state = Mlp().fit(TRAIN, PARAMS)
    assert state["numeric"] == ["age", "pulse"]
    np.testing.assert_allclose(state["mean"], [60.0, 80.0])
    np.testing.assert_allclose(state["scale"], [np.std([40, 60, 80]), 10.0])
    numbers = Mlp().prepare(TRAIN, state, PARAMS)["numbers"]
    age = 20 / np.std([40, 60, 80])
    expected = [[-age, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [age, -1, 0, 0]]
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)


def test_a_new_and_a_missing_category_share_code_zero() -> None:
    state = Mlp().fit(TRAIN, PARAMS)
    assert state["categories"] == {"sex": ["f", "m"]}
    column = table([50.0] * 4, [80.0] * 4, ["m", "f", "divers", None])
    assert Mlp().prepare(column, state, PARAMS)["codes"].tolist() == [[2], [1], [0], [0]]
    found = run(column)
    assert torch.equal(found[2], found[3])
    assert not torch.equal(found[0], found[1])


def test_constant_and_entirely_missing_columns_stay_finite() -> None:
    train = table([0.1] * 3, [NAN] * 3, [None] * 3)
    assert Mlp().fit(train, PARAMS)["scale"].tolist() == [1.0, 1.0]
    found = run(table([0.1, 1.1, NAN], [NAN, 80.0, NAN], ["f", None, None]), train)
    assert not torch.equal(found[0], found[1])


def test_an_infinite_value_counts_as_missing_and_an_extreme_one_is_cut() -> None:
    state = Mlp().fit(table([1.0, 2.0, np.inf, 1e300], [0.0] * 4, ["f"] * 4), PARAMS)
    np.testing.assert_allclose(state["mean"], [1.5, 0.0])
    column = table([np.inf, 1e30, -1e30], [0.0] * 3, ["f"] * 3)
    numbers = Mlp().prepare(column, state, PARAMS)["numbers"]
    assert numbers[:, 0].tolist() == [0.0, EXTREME, -EXTREME]
    assert numbers[:, 2].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_one_kind_of_field_is_enough(kind: str) -> None:
    values = np.array([1.0, 2.0]) if kind == "numeric" else np.array(["a", "b"], dtype=object)
    column = TabularValues({"only": values}, {"only": kind})
    state = Mlp().fit(column, PARAMS)
    arrays = Mlp().prepare(column, state, PARAMS)
    assert set(arrays) == ({"numbers"} if kind == "numeric" else {"codes"})
    assert Mlp().build(state, PARAMS)(**arrays).values.shape == (2, 1, 32)


def test_the_order_of_fields_changes_nothing_and_a_lost_field_is_missing() -> None:
    turned = TabularValues(TRAIN.values, dict(reversed(FIELDS.items())))
    assert torch.equal(run(TRAIN), run(turned))
    lost = TabularValues({"age": TRAIN.values["age"]}, {"age": "numeric"})
    numbers = Mlp().prepare(lost, Mlp().fit(TRAIN, PARAMS), PARAMS)["numbers"]
    assert numbers[:, 3].tolist() == [1.0, 1.0, 0.0, 1.0]


def test_a_stored_state_prepares_and_builds_the_same() -> None:
    state = Mlp().fit(TRAIN, PARAMS)
    arrays = {k: torch.from_numpy(v) for k, v in state.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in state.items() if k not in arrays}
    back: dict[str, Any] = {**json.loads(json.dumps(plain)), **arrays}
    one, two = (Mlp().prepare(TRAIN, part, PARAMS) for part in (state, back))
    assert all(torch.equal(one[name], two[name]) for name in one)
    shapes = [[p.shape for p in Mlp().build(part, PARAMS).parameters()] for part in (state, back)]
    assert shapes[0] == shapes[1]


def test_only_the_most_frequent_categories_are_kept() -> None:
    many = [f"id{number}" for number in range(400)] + ["often"] * 2
    column = TabularValues({"who": np.array(many, dtype=object)}, {"who": "categorical"})
    known = Mlp().fit(column, PARAMS)["categories"]["who"]
    assert len(known) == 255
    assert "often" in known
