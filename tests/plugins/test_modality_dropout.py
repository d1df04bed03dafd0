"""Modality dropout: own coins, never everything, and what is dropped looks absent."""

from __future__ import annotations

import pytest
import torch
from mmauto_training.modality_dropout import ModalityDropout

from mmauto.plugin import Batch, FeatureSpec, Tokens

FEATURES = {"text": FeatureSpec(3, 4), "image": FeatureSpec(2, 6), "tabular": FeatureSpec(1, 2)}
ROWS = 6000


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def scene(present=None, p=0.3):
    module = ModalityDropout().build(FEATURES, {}, {"p": p}).train()
    tokens = {
        key: Tokens(
            torch.randn(ROWS, spec.tokens, spec.dim),
            torch.ones(ROWS, spec.tokens, dtype=torch.bool),
            losses={"own": torch.ones(())},
            absent=torch.randn(spec.dim),
        )
        for key, spec in FEATURES.items()
    }
    here = {key: torch.ones(ROWS, dtype=torch.bool) for key in FEATURES}
    batch = Batch({**here, **(present or {})}, {}, {}, torch.arange(ROWS))
    return module, tokens, batch


def test_each_modality_of_each_sample_has_its_own_coin():
    module, tokens, batch = scene()
    _, after = module.before(tokens, batch)
    dropped = {key: ~after.present[key] for key in FEATURES}
    # one coin a modality with p = 0.3; of the 0.3 ** 3 that lose all, one of three stays
    wanted = 0.3 - 0.3**3 / 3
    for flag in dropped.values():
        assert float(flag.float().mean()) == pytest.approx(wanted, abs=0.02)
    both = dropped["text"] & dropped["image"]
    assert float(both.float().mean()) == pytest.approx(0.09 - 2 * 0.3**3 / 3, abs=0.02)


def test_a_sample_keeps_one_modality_chosen_at_random():
    module, tokens, batch = scene(p=0.5)
    _, after = module.before(tokens, batch)
    left = torch.stack([after.present[key] for key in FEATURES]).sum(0)
    assert int(left.min()) == 1
    alone = {key: float((after.present[key] & (left == 1)).float().mean()) for key in FEATURES}
    # alone: two of three dropped (0.375 in all), or all three (0.125) and one spared; by symmetry
    assert alone == pytest.approx(dict.fromkeys(FEATURES, 0.5 / 3), abs=0.02)


def test_the_only_modality_of_a_sample_is_safe():
    gone = torch.zeros(ROWS, dtype=torch.bool)
    module, tokens, batch = scene({"text": gone, "tabular": gone}, p=0.5)
    found, after = module.before(tokens, batch)
    assert bool(after.present["image"].all())
    assert torch.equal(found["image"].values, tokens["image"].values)


def test_a_dropped_modality_looks_absent():
    module, tokens, batch = scene()
    found, after = module.before(tokens, batch)
    for key in FEATURES:
        gone, part, token = ~after.present[key], found[key], tokens[key].absent
        # the very token that stands for absent samples at prediction time
        assert torch.equal(part.values[gone], token.expand_as(part.values[gone]))
        assert bool(part.mask[gone, 0].all())
        assert not bool(part.mask[gone, 1:].any())
        assert torch.equal(part.values[~gone], tokens[key].values[~gone])
        assert part.losses == tokens[key].losses


def test_nothing_is_dropped_outside_training():
    module, tokens, batch = scene(p=0.5)
    found, after = module.eval().before(tokens, batch)
    assert found is tokens
    assert after is batch


def test_the_probability_is_read_from_its_buffer():
    module, tokens, batch = scene(p=0.05)
    module.p.fill_(0.5)
    _, after = module.before(tokens, batch)
    assert float((~after.present["text"]).float().mean()) > 0.4
