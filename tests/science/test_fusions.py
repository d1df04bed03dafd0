"""Which fusion solves which interaction: generated data whose truth is known."""

from __future__ import annotations

import pytest

from mmauto.registry import load_registry

pytestmark = pytest.mark.slow

BY_MODALITY = {"logit_sum", "logit_mean", "logit_weighted", "logit_product", "trusted"}
EVERY = sorted(load_registry().all("fusion"))


@pytest.mark.parametrize("name", EVERY)
def test_synergy(name, xor, train_on):
    """What adds one modality's vote to the other's gets at most 3 of the 4 corners of an XOR."""
    accuracy = train_on(xor, name).accuracy()
    if name in BY_MODALITY:
        assert accuracy < 0.8
    else:
        assert accuracy > 0.95


@pytest.mark.parametrize("name", EVERY)
def test_one_informative_modality(name, unique, train_on):
    """Nothing is lost beside a modality that tells nothing."""
    assert train_on(unique, name).accuracy() > 0.95


@pytest.mark.parametrize("name", EVERY)
def test_redundant_modalities(name, redundant, train_on):
    assert train_on(redundant, name).accuracy() > 0.95


@pytest.mark.parametrize("name", ["trusted", "gmu", "additive_attention"])
def test_a_lying_modality_is_weighed_down_where_it_lies(name, noisy, train_on):
    fitted = train_on(noisy, name, epochs=15)
    good = noisy.facts["good"][-600:]
    weight = fitted.result().weights["b"].numpy()
    assert weight[~good].mean() < 0.75 * weight[good].mean()
    assert fitted.accuracy() > 0.9


@pytest.mark.parametrize("name", ["expert_mixture", "poe_vae", "late_transformer"])
def test_an_absent_modality_costs_little(name, gappy, train_on):
    fitted = train_on(gappy, name)
    whole = fitted.accuracy()
    assert whole > 0.85
    assert fitted.accuracy(gone=("b",)) > 0.8
    assert fitted.accuracy(gone=("a",)) > 0.8


def test_the_policy_drops_the_useless_modality_and_keeps_the_other(unique, train_on):
    fitted = train_on(unique, "policy", epochs=40, fusion__cost=0.1)
    used = {key: float(weight.mean()) for key, weight in fitted.result().weights.items()}
    assert used["a"] > 0.9
    assert used["b"] < 0.1
    assert fitted.accuracy() > 0.95


def test_shared_subspaces_agree_and_private_ones_do_not(redundant, train_on):
    fitted = train_on(redundant, "shared_private", epochs=15)
    one, two = fitted.result().aux["shared"]
    free = (
        train_on(redundant, "shared_private", epochs=15, fusion__similarity=0.0)
        .result()
        .aux["shared"]
    )
    assert (one.mean(0) - two.mean(0)).norm() < 0.5 * (free[0].mean(0) - free[1].mean(0)).norm()
