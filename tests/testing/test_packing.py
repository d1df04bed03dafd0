"""What the kit says of trials side by side: only what a packed number spoils is a fault."""

from __future__ import annotations

import dataclasses

import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Float
from mmauto.testing import component_checks
from mmauto.testing.fakes import PlainFusion, default_params
from mmauto.testing.pack_world import agreeing
from mmauto.testing.packing import packed_numbers, spread


class Scaled(PlainFusion):
    """Its outputs are scaled by a buffer that it reads, and again in a way of the class's own."""

    name = "scaled"

    def space(self, task):
        return {
            "scale": Float(0.5, 2.0, 1.0, packs=True),
            "other": Float(0.5, 2.0, 1.0, packs=True),
        }

    def refuses(self, features, targets):
        one = len({spec.dim for spec in features.values()}) == 1
        return None if one else "the modalities must have one width"

    def build(self, features, heads, params):
        import torch

        net = super().build(features, heads, params)
        for name, value in params.items():
            net.register_buffer(name, torch.tensor(value))
        owner, plain = type(self), net.forward

        def forward(tokens, present):
            found = plain(tokens, present)
            outputs = {n: owner.more(net, params, net.scale * v) for n, v in found.outputs.items()}
            return dataclasses.replace(found, outputs=outputs)

        net.forward = forward
        return net

    @staticmethod
    def more(net, params, value):
        return net.other * value


class MixesRowsInTraining(Scaled):
    @staticmethod
    def more(net, params, value):
        return net.other * (value.tanh() - value.tanh().mean(0) * net.training)


class AsksForANumber(Scaled):
    @staticmethod
    def more(net, params, value):
        return value if float(net.other) > 1 else 2 * value


class ReadsOneTrialsNumber(Scaled):
    @staticmethod
    def more(net, params, value):
        return params["other"] * value


def side_by_side(component):
    [check] = [c for _, c in component_checks(component) if c.name == "packed_as_alone"]
    check(component)


@pytest.mark.parametrize(
    ("component", "forms"),
    [(Scaled(), ["vmapped"]), (MixesRowsInTraining(), ["vmapped"]), (AsksForANumber(), [])],
)
def test_a_form_that_is_not_for_a_component_is_no_fault_of_it(component, forms):
    assert agreeing(component, spread(component, packed_numbers(component))) == forms
    side_by_side(component)


def test_the_number_the_values_and_the_form_are_named():
    with pytest.raises(PluginError) as caught:
        side_by_side(ReadsOneTrialsNumber())
    text = str(caught.value)
    assert text.startswith("fusion 'scaled' (")
    assert "breaks the check 'packed_as_alone'" in text
    assert "trials with other = 0.9706 / 1.426 / 1.864 get other gradients or outputs" in text
    assert "side by side (vmapped) than one by one" in text
    assert "scale = " not in text


def test_trials_differ_in_the_numbers_asked_for_alone():
    component = Scaled()
    assert packed_numbers(component) == ["scale", "other"]
    trials = spread(component, ["other"])
    assert {own["scale"] for own in trials} == {default_params(component)["scale"]}
    assert len({own["other"] for own in trials}) == 3
