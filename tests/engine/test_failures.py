"""Who is named when a trial fails."""

from __future__ import annotations

import pytest
import torch

from mmauto.engine.failures import culprit
from mmauto.engine.jobs import Candidate
from mmauto.registry import load_registry
from mmauto.values import FeatureSpec

REGISTRY = load_registry()


def candidate(text: str, regulariser: str) -> Candidate:
    params = {"text/encoder": text, "regulariser": regulariser}
    return Candidate("fusion", "concat_mlp", ("text",), params)


@pytest.mark.parametrize("name", ["infonce", "sigmoid"])
def test_of_two_regularisers_in_one_file_the_one_that_took_part(name: str) -> None:
    features = {"a": FeatureSpec(1, 4), "b": FeatureSpec(1, 4)}
    component = REGISTRY.regulariser(name)
    params = {n: d.default for n, d in component.space(None).items()}  # type: ignore[arg-type]
    module = component.build(features, {}, params)
    with pytest.raises(AttributeError) as caught:
        module.loss(None, None, {"a": None, "b": None}, None)  # type: ignore[operator]
    found = culprit(caught.value, REGISTRY, candidate("lstm", name))
    assert found.startswith(f"regulariser '{name}' (mmauto ")


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_an_encoder_whose_code_stands_in_a_module_that_it_shares(name: str) -> None:
    component = REGISTRY.encoder(name)
    params = {n: d.default for n, d in component.space(None).items()}  # type: ignore[arg-type]
    module = component.build({"vocabulary": ["a"], "length": 3}, params)
    with pytest.raises(RuntimeError, match="Expected tensor") as caught:
        module(ids=torch.zeros(1, 3), mask=torch.ones(1, 3, dtype=torch.bool))
    found = culprit(caught.value, REGISTRY, candidate(name, "none"))
    assert found.startswith(f"encoder '{name}' (mmauto ")
