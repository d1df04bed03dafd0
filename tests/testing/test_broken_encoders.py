"""Each check of encoders can fail: one broken encoder a check."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Choice, Encoder, FeatureSpec, Float, Tokens
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_encoder import CHECKS


class Good(Encoder):
    """Counts of letters and of words as two tokens."""

    name = "good"
    modality = "text"
    summary = "counts"
    reference = "made up"

    def space(self, task):
        return {"dim": Choice((4, 8))}

    def fit(self, train, params):
        return {"longest": max(len(text or "") for text in train)}

    def prepare(self, column, state, params):
        counts = [(len(t or ""), len((t or "").split())) for t in column]
        return {"x": np.array(counts, dtype=np.float32) / max(1, state["longest"])}

    def features(self, state, params):
        return FeatureSpec(2, params["dim"])

    def build(self, state, params):
        import torch
        from torch import nn

        owner = self

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(1, params["dim"])
                owner.add(self)

            def forward(self, x):
                mask = torch.ones(x.shape, dtype=torch.bool)
                return owner.run(self, x, Tokens(self.linear(x.unsqueeze(-1)), mask))

        return Net()

    def add(self, net):
        """What a broken encoder adds to its module."""

    def run(self, net, x, tokens):
        """What a broken encoder makes of its tokens."""
        return tokens


class LosesARow(Good):
    def prepare(self, column, state, params):
        return {"x": super().prepare(column, state, params)["x"][:-1]}


class MarksMissing(Good):
    def prepare(self, column, state, params):
        arrays = super().prepare(column, state, params)
        arrays["x"][~column.present] = -1
        return arrays


class ScalesByTheColumn(Good):
    def prepare(self, column, state, params):
        x = super().prepare(column, state, params)["x"]
        return {"x": x / max(x.max(), 1e-6)}


class PromisesMore(Good):
    def features(self, state, params):
        return FeatureSpec(3, params["dim"])


class MasksARow(Good):
    def run(self, net, x, tokens):
        return Tokens(tokens.values, x > 0)


class DividesByLength(Good):
    def run(self, net, x, tokens):
        return Tokens(tokens.values / x.unsqueeze(-1), tokens.mask)


class CentresTheBatch(Good):
    def run(self, net, x, tokens):
        return Tokens(tokens.values - tokens.values.mean(0), tokens.mask)


class HasAnIdleLayer(Good):
    def add(self, net):
        from torch import nn

        net.idle = nn.Linear(2, 2)


class FrozenYetTrains(Good):
    def frozen(self, params):
        return True


class PromisesWeights(Good):
    def frozen(self, params):
        return True

    def tunable(self, params):
        return True

    def run(self, net, x, tokens):
        return Tokens(tokens.values.detach(), tokens.mask)


class DrawsAtRandom(Good):
    def prepare(self, column, state, params):
        arrays = super().prepare(column, state, params)
        noise = np.random.default_rng().normal(size=arrays["x"].shape)
        return {"x": (arrays["x"] * (1 + noise)).astype(np.float32)}


class WritesInPlace(Good):
    def run(self, net, x, tokens):
        x += 1
        return tokens


class EditsParams(Good):
    def fit(self, train, params):
        params["extra"] = 1
        return super().fit(train, params)


class LearnsWhilePreparing(Good):
    def prepare(self, column, state, params):
        longest = max(len(text or "") for text in column)
        state["longest"] = max(state["longest"], longest)
        return super().prepare(column, state, params)


class RemembersOtherFits(Good):
    def fit(self, train, params):
        self.longest = max(getattr(self, "longest", 0), max(len(text or "") for text in train))
        return {"longest": self.longest}


class KeepsASet(Good):
    def fit(self, train, params):
        return {**super().fit(train, params), "words": {"a", "b"}}


class KeepsNumberedKeys(Good):
    def fit(self, train, params):
        return {**super().fit(train, params), "words": {0: "a"}}


class AugmentsInPlace(Good):
    def add(self, net):
        net.augment = lambda arrays, generator: {"x": arrays["x"].mul_(2)}


class AugmentsToAnotherShape(Good):
    def add(self, net):
        net.augment = lambda arrays, generator: {"x": arrays["x"][:, :1]}


class BreaksWhenWide(Good):
    def build(self, state, params):
        if params["dim"] == 8:
            raise ValueError("8 is too wide")
        return super().build(state, params)


class PacksAnAttribute(Good):
    def space(self, task):
        return {**super().space(task), "rate": Float(0.0, 0.5, 0.1, packs=True)}


class ReadsOneTrialsNumber(Good):
    def space(self, task):
        return {**super().space(task), "scale": Float(0.5, 2.0, 1.0, packs=True)}

    def build(self, state, params):
        import torch

        net, scale = super().build(state, params), params["scale"]
        net.register_buffer("scale", torch.tensor(scale))
        plain = net.forward
        net.forward = lambda x: dataclasses.replace(plain(x), values=scale * plain(x).values)
        return net


BROKEN = [
    (LosesARow, "prepared_rows", "7 rows for 8 samples"),
    (MarksMissing, "prepared_rows", "not zero where samples are missing"),
    (ScalesByTheColumn, "samples_apart", "prepared alone"),
    (PromisesMore, "promised_shape", "features promised (1, 3, 4)"),
    (MasksARow, "promised_shape", "a row without a real token"),
    (DividesByLength, "missing_stays_finite", "not finite"),
    (CentresTheBatch, "batch_independence", "sample 0 alone"),
    (HasAnIdleLayer, "finite_gradient", "'idle.weight' takes no part"),
    (FrozenYetTrains, "finite_gradient", "frozen, yet 2 parameters train"),
    (PromisesWeights, "tunable_weights", "its tokens depend on no weights"),
    (DrawsAtRandom, "determinism", "values differ"),
    (WritesInPlace, "inputs_not_mutated", "/x: values differ"),
    (EditsParams, "inputs_not_mutated", "'extra': 1"),
    (LearnsWhilePreparing, "fit_sees_train_only", "preparing other rows changed the state"),
    (RemembersOtherFits, "fit_sees_train_only", "remembers others"),
    (KeepsASet, "state_survives_storage", "is a set"),
    (KeepsNumberedKeys, "state_survives_storage", "not texts"),
    (AugmentsInPlace, "augment_keeps_shapes", "changed in place"),
    (AugmentsToAnotherShape, "augment_keeps_shapes", "became"),
    (BreaksWhenWide, "corners_build", "8 is too wide"),
    (PacksAnAttribute, "packed_numbers_are_buffers", "stands in no buffer"),
    (
        ReadsOneTrialsNumber,
        "packed_as_alone",
        "scale = 0.9706 / 1.426 / 1.864 get other",
    ),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    [check] = [check for _, check in component_checks(broken()) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(broken())
    assert seen in str(caught.value)


def test_every_check_has_a_broken_encoder():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_encoder_that_they_break_is_sound():
    check_component(Good())


def test_an_encoder_of_an_unknown_modality_brings_its_own_samples():
    class Smells(Good):
        modality = "smell"

    with pytest.raises(PluginError, match=r"give it a method fake_column\(rows, seed\)"):
        check_component(Smells())

    class WithSamples(Smells):
        def fake_column(self, rows, seed):
            from mmauto.plugin import Texts

            return Texts([f"{'a' * (row + seed)}" for row in range(rows)])

    check_component(WithSamples())
