"""Further tabular encoders: ft_transformer and tabular_text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmauto_tabular.ft_transformer import FtTransformer
from mmauto_tabular.tabular_text import TabularText, written
from torch import Tensor, nn

from mmauto.plugin import DataError, TabularValues

FIELDS = {"sex": "categorical", "age": "numeric", "pulse": "numeric"}
NAN = float("nan")
FT = {"width": 32, "heads": 4, "layers": 1, "dropout": 0.0, "pool": "cls"}
TEXT = {"digits": 2, "max_features": 500}


def table(age: list[float], pulse: list[float], sex: list[str | None]) -> TabularValues:
    values = {"age": np.array(age), "pulse": np.array(pulse), "sex": np.array(sex, dtype=object)}
    return TabularValues(values, FIELDS)


TRAIN = table([40.0, 60.0, NAN, 80.0], [90.0, NAN, NAN, 70.0], ["f", "m", None, "f"])


def built(column: TabularValues, **changed: Any) -> tuple[Any, dict[str, Tensor]]:
    params = {**FT, **changed}
    state = FtTransformer().fit(TRAIN, params)
    torch.manual_seed(0)
    module = FtTransformer().build(state, params).eval()
    return module, dict(FtTransformer().prepare(column, state, params))


# ------------------------------------------------------------------------------ ft_transformer


def test_a_numbers_token_is_its_value_times_a_direction_and_a_missing_one_has_its_own() -> None:
    module, arrays = built(table([60.0, NAN], [90.0, 70.0], ["m", "divers"]))
    direction, start, missing = module.numbers
    found = module.fields(**arrays)
    assert found.shape == (2, 3, 32)  # age, pulse, sex
    torch.testing.assert_close(found[0, 0], start[0])  # the mean age
    torch.testing.assert_close(found[0, 1], direction[1] + start[1])  # one deviation above
    torch.testing.assert_close(found[1, 0], missing[0])
    torch.testing.assert_close(found[:, 2], module.embeddings[0].weight[[2, 0]])


@pytest.mark.parametrize(("pool", "tokens"), [("cls", 1), ("tokens", 4)])
def test_it_gives_one_token_or_one_a_field_more(pool: str, tokens: int) -> None:
    module, arrays = built(TRAIN, pool=pool)
    found = module(**arrays)
    assert found.values.shape == (4, tokens, 32)
    assert found.mask.all()
    state = FtTransformer().fit(TRAIN, FT)
    assert FtTransformer().features(state, {**FT, "pool": pool}).tokens == tokens


def test_attention_equals_torchs_own() -> None:
    module, _ = built(TRAIN)
    own = module.layers[0]
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": own.inputs.weight.detach(),
            "in_proj_bias": own.inputs.bias.detach(),
            "out_proj.weight": own.output.weight.detach(),
            "out_proj.bias": own.output.bias.detach(),
        }
    )
    values = torch.randn(3, 5, 32)
    torch.testing.assert_close(own.attend(values), theirs(values, values, values)[0])


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_one_kind_of_field_is_enough(kind: str) -> None:
    values = np.array([1.0, 2.0]) if kind == "numeric" else np.array(["a", "b"], dtype=object)
    column = TabularValues({"only": values}, {"only": kind})
    state = FtTransformer().fit(column, FT)
    arrays = FtTransformer().prepare(column, state, FT)
    found = FtTransformer().build(state, FT)(**arrays).values
    assert found.shape == (2, 1, 32)
    assert not torch.equal(found[0], found[1])


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        FtTransformer().features(FtTransformer().fit(TRAIN, FT), {**FT, "width": 30})
    assert str(caught.value) == (
        "ft_transformer's width must be a multiple of its heads, the parameters give width 30 and "
        "4 heads; change one of them in the study file"
    )


def test_it_learns_an_interaction_of_two_fields() -> None:
    draw = np.random.default_rng(0)
    age, sex = draw.normal(60, 10, 256), draw.choice(["f", "m"], 256)
    column = table(list(age), [NAN] * 256, list(sex))
    label = torch.from_numpy(((age > 60) == (sex == "f")).astype(np.float32))
    state = FtTransformer().fit(column.take(list(range(192))), FT)
    arrays = FtTransformer().prepare(column, state, FT)
    torch.manual_seed(0)
    module, head = FtTransformer().build(state, FT).train(), nn.Linear(32, 1)
    optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(80):
        logits = head(module(**{k: v[:192] for k, v in arrays.items()}).mean()).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, label[:192])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = head(module.eval()(**{k: v[192:] for k, v in arrays.items()}).mean()).squeeze(1)
    assert ((found > 0) == (label[192:] > 0)).float().mean() > 0.9


# -------------------------------------------------------------------------------- tabular_text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"age": 63.0, "sex": "f"}, "age: 63; sex: f"),
        ({"age": 118.7, "sex": "not said"}, "age: 120; sex: not said"),
        ({"age": -0.123, "sex": None}, "age: -0.12"),
        ({"age": NAN}, ""),
        ({"age": float("inf"), "sex": "m"}, "sex: m"),
        (None, ""),
    ],
)
def test_a_row_is_written_out(row: dict[str, Any] | None, text: str) -> None:
    assert written(row, ["age", "sex"], 2) == text


def test_words_are_names_values_and_their_pairs() -> None:
    state = TabularText().fit(table([40.4, -0.5], [NAN, NAN], ["f", None]), TEXT)
    assert state["vocabulary"] == [
        "-0.5", "40", "40 sex", "age", "age -0.5", "age 40", "f", "sex", "sex f",
    ]  # fmt: skip
    assert TabularText().features(state, TEXT).dim == 9


def test_near_numbers_weigh_alike_and_missing_rows_nothing() -> None:
    state = TabularText().fit(TRAIN, TEXT)
    column = table([40.3, 39.9, 80.0, NAN], [NAN] * 4, [None] * 4)
    weights = TabularText().prepare(column, state, TEXT)["weights"]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not weights[3].any()


def test_rows_without_a_value_leave_one_zero_feature() -> None:
    empty = table([NAN], [NAN], [None])
    state = TabularText().fit(empty, TEXT)
    arrays = TabularText().prepare(TRAIN, state, TEXT)
    found = TabularText().build(state, TEXT)(**arrays).values
    assert found.shape == (4, 1, TabularText().features(state, TEXT).dim)
    assert not found.any()
