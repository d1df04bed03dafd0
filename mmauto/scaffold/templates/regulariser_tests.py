"""The contract of the regulariser, and what it is for."""

from __future__ import annotations

from typing import Any

import torch

from mmauto.plugin import Batch, FeatureSpec, Tokens
from mmauto.scaffold.templates.regulariser import ScaffoldNameRegulariser
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ScaffoldNameRegulariser()])
def test_contract(component: ScaffoldNameRegulariser, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


def test_noise_has_its_size_in_training_and_none_after() -> None:
    """Its deviation is sigma; absent samples and predictions stay as they are."""
    torch.manual_seed(0)
    tokens = {"text": Tokens(torch.zeros(500, 2, 8), torch.ones(500, 2, dtype=torch.bool))}
    present = {"text": torch.arange(500) > 0}
    batch = Batch(present, targets={}, observed={}, index=torch.arange(500))
    module: Any = ScaffoldNameRegulariser().build({"text": FeatureSpec(2, 8)}, {}, {"sigma": 0.2})
    noisy, _ = module.before(tokens, batch)
    assert 0.19 < noisy["text"].values[1:].std().item() < 0.21
    assert not noisy["text"].values[0].any(), "an absent sample was changed"
    still, _ = module.eval().before(tokens, batch)
    assert not still["text"].values.any()
