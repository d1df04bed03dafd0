"""Each check of controls can fail: one broken control a check."""

from __future__ import annotations

import numpy as np
import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Control, Float
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_control import CHECKS


class Good(Control):
    """Smoothed frequencies and means, whatever the features."""

    name = "good"
    summary = "frequencies"
    reference = "made up"

    def space(self, task):
        return {"smooth": Float(0.5, 2.0, 1.0)}

    def fit(self, features, targets, specs, params, seed):
        smooth, state = params["smooth"], {}
        for name, spec in specs.items():
            values = targets[name]
            if spec.kind == "multiclass":
                counts = np.bincount(values[values >= 0], minlength=spec.width) + smooth
                state[name] = counts / counts.sum()
            else:
                state[name] = np.atleast_1d(np.nanmean(values, axis=0))
        return state

    def predict(self, features, state, specs):
        rows = len(next(iter(features.values())))
        return {name: np.tile(state[name], (rows, 1)) for name in specs}


class FlattensOneColumn(Good):
    def predict(self, features, state, specs):
        return {k: np.squeeze(v) for k, v in super().predict(features, state, specs).items()}


class GivesLogits(Good):
    def predict(self, features, state, specs):
        return {k: np.log(v) for k, v in super().predict(features, state, specs).items()}


class DoesNotSumToOne(Good):
    def predict(self, features, state, specs):
        return {k: v / 2 for k, v in super().predict(features, state, specs).items()}


class CountsSeenClasses(Good):
    def fit(self, features, targets, specs, params, seed):
        state = super().fit(features, targets, specs, params, seed)
        for name, spec in specs.items():
            if spec.kind == "multiclass":
                seen = np.unique(targets[name][targets[name] >= 0])
                state[name] = np.full(len(seen), 1 / len(seen))
        return state


class AddsFeatures(Good):
    def predict(self, features, state, specs):
        found = super().predict(features, state, specs)
        return {**found, "size": found["size"] + features["text"].sum(1, keepdims=True)}


class RanksTheBatch(Good):
    def predict(self, features, state, specs):
        found = super().predict(features, state, specs)
        return {k: v * np.linspace(0.5, 1, len(v))[:, None] for k, v in found.items()}


class DrawsAtRandom(Good):
    def fit(self, features, targets, specs, params, seed):
        state = super().fit(features, targets, specs, params, seed)
        return {name: value * np.random.default_rng().random() for name, value in state.items()}


class TakesTheFirst(Good):
    def predict(self, features, state, specs):
        found = super().predict(features, state, specs)
        first = np.nan_to_num(next(iter(features.values())).sum(1, keepdims=True))
        return {name: value + first for name, value in found.items()}


class FillsInPlace(Good):
    def fit(self, features, targets, specs, params, seed):
        np.nan_to_num(features["text"], copy=False)
        return super().fit(features, targets, specs, params, seed)


class KeepsAnObject(Good):
    def fit(self, features, targets, specs, params, seed):
        return {**super().fit(features, targets, specs, params, seed), "self": object()}


class BreaksWhenSmooth(Good):
    def fit(self, features, targets, specs, params, seed):
        if params["smooth"] == 2.0:
            raise ValueError("2 is too smooth")
        return super().fit(features, targets, specs, params, seed)


BROKEN = [
    (FlattensOneColumn, "promised_shape", "wanted"),
    (GivesLogits, "probabilities", "outside 0 to 1"),
    (DoesNotSumToOne, "probabilities", "sums to 1 only within 0.5"),
    (CountsSeenClasses, "rare_class", "(40, 2)"),
    (AddsFeatures, "absent_features", "not finite"),
    (RanksTheBatch, "batch_independence", "alone"),
    (DrawsAtRandom, "determinism", "two fits with one seed"),
    (TakesTheFirst, "dict_order", "turned round"),
    (FillsInPlace, "inputs_not_mutated", "/text: values differ"),
    (KeepsAnObject, "state_is_plain", "is a object"),
    (BreaksWhenSmooth, "corners_build", "2 is too smooth"),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    [check] = [check for _, check in component_checks(broken()) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(broken())
    assert seen in str(caught.value)


def test_every_check_has_a_broken_control():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_control_that_they_break_is_sound():
    check_component(Good())
