"""Regularisers that align modalities do it, measured by something other than their own loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

pytestmark = pytest.mark.slow


def projected(fitted):
    """What the regulariser compares, ``(N, D)`` a modality, unit length."""
    tokens, _ = fitted.tokens()
    regulariser = fitted.model.regularisers[0]
    compare = getattr(regulariser, "project", None) or regulariser.vectors
    with torch.no_grad():
        found = compare(tokens)
    return [(found[key] / found[key].norm(dim=-1, keepdim=True)).numpy() for key in ("a", "b")]


def recall(one, two):
    """How often a row's own partner is the nearest of all."""
    return float(((one @ two.T).argmax(1) == np.arange(len(one))).mean())


@pytest.mark.parametrize("name", ["infonce", "sigmoid", "vicreg", "positive_only"])
def test_partners_find_each_other(name, paired, train_on):
    """Chance is 1 in 600; ``positive_only`` pushes nothing apart and stays behind."""
    changes = {} if name == "vicreg" else {f"regulariser__{name}__weight": 1.0}
    found = recall(*projected(train_on(paired, regulariser=name, epochs=20, **changes)))
    assert found > (0.2 if name == "positive_only" else 0.9)


def test_without_alignment_partners_are_strangers(paired, train_on):
    free = train_on(paired, regulariser="infonce", epochs=20, regulariser__infonce__weight=1e-9)
    assert recall(*projected(free)) < 0.1
    means = train_on(paired, epochs=20).means()
    assert recall(means["a"], means["b"]) < 0.02


def test_collinear_features(paired, train_on):
    def cosine(fitted):
        a, b = fitted.means().values()
        return np.mean(
            ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)) ** 2
        )

    assert cosine(train_on(paired, epochs=20)) < 0.1
    aligned = train_on(
        paired, regulariser="collinearity", epochs=20, regulariser__collinearity__weight=1.0
    )
    assert cosine(aligned) > 0.9


def moments_apart(a, b):
    a, b = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
    gaps = [np.linalg.norm(a.mean(0) - b.mean(0))]
    for order in range(2, 6):
        centred = [((x - x.mean(0)) ** order).mean(0) for x in (a, b)]
        gaps.append(np.linalg.norm(centred[0] - centred[1]))
    return sum(gaps)


def kernel_distance(a, b):
    gamma = 1 / np.median(cdist(a, b, "sqeuclidean"))

    def mean(x, y):
        return np.exp(-gamma * cdist(x, y, "sqeuclidean")).mean()

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


def covariances_apart(a, b):
    return np.square(np.cov(a.T) - np.cov(b.T)).sum()


@pytest.mark.parametrize(
    ("name", "weight", "distance"),
    [
        ("coral", 30.0, covariances_apart),
        ("cmd", 1.0, moments_apart),
        ("mmd", 1.0, kernel_distance),
    ],
)
def test_distances_shrink(name, weight, distance, shifted, train_on):
    before = train_on(shifted, epochs=20)
    after = train_on(
        shifted, regulariser=name, epochs=20, **{f"regulariser__{name}__weight": weight}
    )
    assert distance(*after.means().values()) < 0.1 * distance(*before.means().values())
    assert after.accuracy() > 0.95


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_fresh_discriminator_cannot_tell_the_modality(redundant, train_on):
    def told(fitted):
        a, b = fitted.means().values()
        x, y = np.concatenate([a, b]), np.repeat([0, 1], len(a))
        order = np.random.default_rng(0).permutation(len(x))
        half = len(x) // 2
        judges = (
            LogisticRegression(max_iter=2000),
            MLPClassifier((32,), max_iter=300, random_state=0),
        )
        return [
            judge.fit(x[order[:half]], y[order[:half]]).score(x[order[half:]], y[order[half:]])
            for judge in judges
        ]

    assert min(told(train_on(redundant, epochs=30, adapter=4))) > 0.95
    fooled = train_on(
        redundant, regulariser="adversarial", epochs=30, adapter=4,
        regulariser__adversarial__weight=1.0,
    )  # fmt: skip
    assert max(told(fooled)) < 0.65
    assert fooled.accuracy() > 0.95


@pytest.mark.parametrize("name", ["cca", "mutual_information"])
def test_a_shared_factor_is_recovered_through_a_narrow_adapter(name, shared, train_on, r2):
    """Four dimensions must choose among eight; only two of these are shared."""
    factors = shared.facts["factors"][-600:]

    def recovered(regulariser, **changes):
        means = train_on(shared, regulariser=regulariser, epochs=25, adapter=4, **changes).means()
        return min(r2(means[key], factors) for key in ("a", "b"))

    assert recovered("none") < 0.5
    assert recovered(name, **{f"regulariser__{name}__weight": 1.0}) > 0.7


def test_the_bound_stays_below_the_true_information(shared, train_on):
    """Two factors with correlation 1 / 1.01: 3.93 nats in all."""
    fitted = train_on(
        shared, regulariser="mutual_information", epochs=25, adapter=4,
        regulariser__mutual_information__weight=1.0,
    )  # fmt: skip
    tokens, present = fitted.tokens()
    batch = type("Rows", (), {"present": present})
    with torch.no_grad():
        (bound,) = fitted.model.regularisers[0].bounds(tokens, batch)
    assert 1.0 < float(bound) < 3.93


def test_few_factors_explain_both_modalities(paired, train_on):
    def explained(fitted):
        whole = np.concatenate([x - x.mean(0) for x in fitted.means().values()], axis=1)
        sizes = np.linalg.svd(whole, compute_uv=False) ** 2
        return sizes[:4].sum() / sizes.sum()

    free = explained(train_on(paired, epochs=20))
    bound = explained(
        train_on(
            paired, regulariser="matrix_factorisation", epochs=20,
            regulariser__matrix_factorisation__weight=1.0,
            regulariser__matrix_factorisation__factors=4,
        )
    )  # fmt: skip
    assert bound > free + 0.1


def test_a_joint_code_gives_features_back(paired, train_on):
    fitted = train_on(
        paired, regulariser="reconstruction", epochs=20, regulariser__reconstruction__weight=1.0
    )
    tokens, present = fitted.tokens()
    module = fitted.model.regularisers[0]
    batch = type("Rows", (), {"present": present, "progress": 1.0})
    with torch.no_grad():
        error = module.loss(None, batch, tokens, None)
    # features are scaled to variance 1: giving back the mean would leave an error of about 1
    assert float(error) < 0.3
