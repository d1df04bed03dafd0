"""Ensemble selection: helpful models enter, useless ones stay out."""

from __future__ import annotations

import numpy as np
import pytest

from mmauto.answers.ensemble import select_ensemble
from mmauto.engine.metrics import score
from mmauto.values import TargetSpec

BINARY = TargetSpec("y", "binary", ("no", "yes"))
NUMBER = TargetSpec("n", "regression")


def views(seed: int = 0, rows: int = 600) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two models with independent errors, and one that only guesses."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < 0.5).astype(float)
    signal = truth - 0.5

    def model(strength: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(strength * signal + rng.normal(0, 1, rows))))[:, None]

    return truth, {"one": model(2), "two": model(2), "guess": model(0)}


def test_models_with_independent_errors_are_averaged_and_guesses_left_out() -> None:
    truth, given = views()
    weights = select_ensemble(given, BINARY, truth, "auroc")
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights["one"], weights["two"]) > 0.25
    assert weights.get("guess", 0) < 0.15
    mean = np.sum([weight * given[name] for name, weight in weights.items()], axis=0)
    alone = max(score("auroc", BINARY, truth, one) for one in given.values())
    assert score("auroc", BINARY, truth, mean) > alone + 0.02


def test_a_model_that_cannot_be_helped_stays_alone() -> None:
    truth, given = views()
    perfect = truth[:, None] * 0.8 + 0.1
    assert select_ensemble({**given, "perfect": perfect}, BINARY, truth, "auroc") == {
        "perfect": 1.0
    }


def test_a_metric_to_minimise_is_minimised() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    near, far = truth[:, None] + 0.1, truth[:, None] + 5
    assert select_ensemble({"near": near, "far": far}, NUMBER, truth, "rmse") == {"near": 1.0}
