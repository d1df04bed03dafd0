"""Controls: known frequencies, patterns that only one of them finds, missing values, storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from mmauto_controls.boosting import Boosting, principal_axes
from mmauto_controls.logistic import Logistic
from mmauto_controls.majority import Majority
from mmauto_controls.parts import parts

from mmauto.plugin import Control, TargetSpec
from mmauto.space import defaults
from mmauto.testing.fakes import task_view

DIAGNOSIS = TargetSpec("diag/nosis", "multiclass", ("a", "b", "c"))
URGENT = TargetSpec("urgent", "binary", ("no", "yes"))
SIGNS = TargetSpec("signs", "multilabel", ("p", "q"))
STAY = TargetSpec("stay", "regression")
SPECS = {spec.name: spec for spec in (DIAGNOSIS, URGENT, SIGNS, STAY)}
NAN = float("nan")
Arrays = Mapping[str, np.ndarray]


def params_of(control: Control) -> dict[str, Any]:
    return defaults(control.space(task_view()))


def data(rows: int, seed: int = 0, wide: int = 100) -> tuple[dict[str, np.ndarray], Arrays]:
    """A wide modality that carries the class, a narrow one that carries the stay."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, rows)
    image = rng.normal(size=(rows, wide)).astype(np.float32)
    # a direction of large variance, or principal components could not find it
    image[:, :10] += 2 * (classes[:, None] - 1)
    tabular = rng.normal(size=(rows, 3)).astype(np.float32)
    urgent = (tabular[:, 1] > 0).astype(np.float32)
    targets = {
        DIAGNOSIS.name: classes,
        "urgent": urgent,
        "signs": np.stack([urgent, 1 - urgent], 1),
        "stay": 5 + 2 * tabular[:, 0],
    }
    return {"image": image, "tabular": tabular}, targets


def accuracy(outputs: Arrays, targets: Arrays) -> float:
    return float((outputs[DIAGNOSIS.name].argmax(1) == targets[DIAGNOSIS.name]).mean())


# ------------------------------------------------------------------------------------- majority


def test_majority_gives_frequencies_of_observed_labels_and_the_mean() -> None:
    targets = {
        DIAGNOSIS.name: np.array([0, 0, 2, -1]),
        "urgent": np.array([1.0, 0.0, NAN, NAN]),
        "signs": np.array([[1, 0], [1, NAN], [1, 1], [0, NAN]]),
        "stay": np.array([1.0, 3.0, NAN, NAN]),
    }
    x = {"image": np.zeros((4, 2))}
    state = Majority().fit(x, targets, SPECS, {}, 0)
    found = Majority().predict({"image": np.zeros((2, 2))}, state, SPECS)
    np.testing.assert_allclose(found[DIAGNOSIS.name], [[2 / 3, 0, 1 / 3]] * 2)
    np.testing.assert_allclose(found["urgent"], [[0.5]] * 2)
    np.testing.assert_allclose(found["signs"], [[0.75, 0.5]] * 2)
    np.testing.assert_allclose(found["stay"], [[2.0]] * 2)
    assert Majority().once
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize("control", [Majority(), Boosting(), Logistic()])
def test_targets_without_any_label_get_even_odds_and_zero(control: Control) -> None:
    features, targets = data(20)
    blank = {name: np.full(np.shape(values), NAN) for name, values in targets.items()}
    blank[DIAGNOSIS.name] = np.full(20, -1)
    state = control.fit(features, blank, SPECS, params_of(control), 0)
    found = control.predict(features, state, SPECS)
    np.testing.assert_allclose(found[DIAGNOSIS.name], 1 / 3)
    np.testing.assert_allclose(found["urgent"], 0.5)
    np.testing.assert_allclose(found["signs"], 0.5)
    np.testing.assert_allclose(found["stay"], 0.0)


# ------------------------------------------------------------------------- boosting and logistic


@pytest.mark.parametrize("control", [Boosting(), Logistic()])
def test_every_target_is_learned_at_once(control: Control) -> None:
    features, targets = data(400)
    state = control.fit(features, targets, SPECS, {**params_of(control), **strong(control)}, 0)
    fresh, truth = data(300, seed=1)
    found = control.predict(fresh, state, SPECS)
    assert accuracy(found, truth) > 0.9
    assert ((found["urgent"][:, 0] > 0.5) == truth["urgent"]).mean() > 0.85
    assert ((found["signs"] > 0.5) == truth["signs"]).mean() > 0.85
    residual = np.square(found["stay"][:, 0] - truth["stay"]).mean()
    assert residual < 0.3 * np.var(truth["stay"])


def strong(control: Control) -> dict[str, Any]:
    return {"c": 0.1} if control.name == "logistic" else {}


def test_boosting_finds_an_interaction_that_majority_and_logistic_cannot() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    targets = {"urgent": ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(np.float32)}
    specs, features = {"urgent": URGENT}, {"a": x[:, :1], "b": x[:, 1:]}
    found = {}
    for control in (Majority(), Logistic(), Boosting()):
        train = {key: values[:400] for key, values in features.items()}
        labels = {"urgent": targets["urgent"][:400]}
        state = control.fit(train, labels, specs, params_of(control), 0)
        rest = {key: values[400:] for key, values in features.items()}
        guess = control.predict(rest, state, specs)["urgent"][:, 0] > 0.5
        found[control.name] = (guess == targets["urgent"][400:]).mean()
    assert found["boosting"] > 0.9
    assert found["boosting"] > max(found["majority"], found["logistic"]) + 0.25


def test_boosting_reduces_wide_modalities_only() -> None:
    features, targets = data(60)
    params = {**params_of(Boosting()), "components": 16}
    state = Boosting().fit(features, targets, SPECS, params, 0)
    assert state["axes/image"].shape == (16, 100)
    assert "axes/tabular" not in state
    assert state["model_0"].n_features_in_ == 16 + 3


def test_principal_axes_equal_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    values = data(80)[0]["image"]
    values[5] = np.nan  # an absent sample takes no part
    mean, axes = principal_axes(values, 4, seed=0)
    expected = PCA(4, svd_solver="full").fit(np.delete(values, 5, axis=0))
    np.testing.assert_allclose(mean, expected.mean_, atol=1e-5)
    # the first is far above the others, so that its direction is defined
    assert abs(axes[0] @ expected.components_[0]) > 0.999


def test_a_rare_class_does_not_stop_boosting() -> None:
    features, targets = data(60)
    labels = {**targets, DIAGNOSIS.name: np.array([2] + [0, 1] * 29 + [0])}
    state = Boosting().fit(features, labels, SPECS, params_of(Boosting()), 0)
    assert not state["model_0"].do_early_stopping_
    assert Boosting().predict(features, state, SPECS)[DIAGNOSIS.name].shape == (60, 3)


def test_missing_samples_keep_the_other_modality_useful() -> None:
    features, targets = data(400)
    features["image"][::4] = np.nan
    for control in (Boosting(), Logistic()):
        state = control.fit(features, targets, SPECS, params_of(control), 0)
        fresh, truth = data(100, seed=2)
        fresh["tabular"][:] = np.nan
        found = control.predict(fresh, state, SPECS)
        assert all(np.isfinite(values).all() for values in found.values())
        assert accuracy(found, truth) > 0.85


@pytest.mark.parametrize("control", [Boosting(), Logistic()])
def test_nothing_known_at_all_stays_finite(control: Control) -> None:
    features, targets = data(50)
    gone = {key: np.full_like(values, np.nan) for key, values in features.items()}
    state = control.fit(gone, targets, SPECS, params_of(control), 0)
    for given in (gone, features):
        found = control.predict(given, state, SPECS)
        assert all(np.isfinite(values).all() for values in found.values())


def test_balanced_weights_raise_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    x = {"tabular": rng.normal(size=(400, 5)).astype(np.float32)}
    targets = {"urgent": (rng.random(400) < 0.1).astype(np.float32)}
    for control in (Boosting(), Logistic()):
        means = []
        for balanced in (False, True):
            params = {**params_of(control), "balanced": balanced}
            state = control.fit(x, targets, {"urgent": URGENT}, params, 0)
            means.append(control.predict(x, state, {"urgent": URGENT})["urgent"].mean())
        assert means[0] < 0.2 < means[1]


@pytest.mark.parametrize("control", [Boosting(), Logistic()])
def test_a_state_survives_skops_json_and_safetensors(control: Control) -> None:
    from safetensors.numpy import load, save
    from skops.io import dumps, get_untrusted_types, loads

    features, targets = data(80)
    state = control.fit(features, targets, SPECS, params_of(control), 0)
    back: dict[str, Any] = {}
    arrays = {name: v for name, v in state.items() if isinstance(v, np.ndarray)}
    back |= load(save({name: np.ascontiguousarray(v) for name, v in arrays.items()}))
    for name, value in state.items():
        if hasattr(value, "predict"):
            assert "/" not in name  # it becomes a file's name
            stored = dumps(value)
            types = get_untrusted_types(data=stored)
            assert all(kind.startswith("sklearn.") for kind in types)
            back[name] = loads(stored, trusted=types)
        elif name not in arrays:
            back[name] = json.loads(json.dumps(value))
    assert back.keys() == state.keys()
    one, two = control.predict(features, state, SPECS), control.predict(features, back, SPECS)
    for name in SPECS:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_multilabel_target_has_a_part_a_label() -> None:
    assert [(part.key, part.target, part.classes) for part in parts(SPECS)] == [
        ("0", "diag/nosis", 3),
        ("1", "urgent", 2),
        ("2_0", "signs", 2),
        ("2_1", "signs", 2),
        ("3", "stay", 0),
    ]
