"""Each check of regularisers can fail: one broken regulariser a check."""

from __future__ import annotations

import dataclasses
import random

import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Float, Regulariser, Tokens
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_regulariser import CHECKS


class Good(Regulariser):
    """Pulls every modality's first feature towards a learned centre."""

    name = "good"
    summary = "a pull"
    reference = "made up"

    def space(self, task):
        return {"weight": Float(0.1, 1.0, 0.5)}

    def build(self, features, targets, params):
        import torch
        from torch import nn

        owner = self

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.centre = nn.Parameter(torch.zeros(()))
                self.weight = params["weight"]
                owner.add(self)

            def before(self, tokens, batch):
                return owner.before(self, tokens, batch)

            def loss(self, result, batch, tokens, forward):
                value = self.weight * sum(
                    (t.mean()[:, 0] - self.centre).square().mean() for t in tokens.values()
                )
                return owner.loss(self, value, result)

            def after_backward(self, result, batch, groups):
                owner.after(groups)

            def epoch(self, train, held):
                owner.epoch(self, train, held)

        return Net()

    def add(self, net):
        """What a broken regulariser adds to its module."""

    def before(self, net, tokens, batch):
        return tokens, batch

    def loss(self, net, value, result):
        return value

    def after(self, groups):
        """What a broken regulariser does to gradients."""

    def epoch(self, net, train, held):
        """What a broken regulariser makes of an epoch's losses."""


class NeedsTheUnknown(Good):
    needs = frozenset({"logits"})


class DoesNothing(Good):
    def build(self, features, targets, params):
        from torch import nn

        return nn.Identity()


class Shortens(Good):
    def before(self, net, tokens, batch):
        return {k: Tokens(t.values[:, :1], t.mask[:, :1]) for k, t in tokens.items()}, batch


class ForgetsTheBatch(Good):
    def before(self, net, tokens, batch):
        return tokens, batch.present


class MasksEverything(Good):
    def before(self, net, tokens, batch):
        return {k: Tokens(t.values, t.mask & False) for k, t in tokens.items()}, batch


class DropsEverything(Good):
    def before(self, net, tokens, batch):
        present = {key: flag & False for key, flag in batch.present.items()}
        return tokens, dataclasses.replace(batch, present=present)


class RevivesTheAbsent(Good):
    def before(self, net, tokens, batch):
        present = {key: flag | True for key, flag in batch.present.items()}
        return tokens, dataclasses.replace(batch, present=present)


class HasAnIdleLayer(Good):
    def add(self, net):
        from torch import nn

        net.idle = nn.Linear(2, 2)


class VectorLoss(Good):
    def loss(self, net, value, result):
        return value.expand(3)


class SpoilsGradients(Good):
    def after(self, groups):
        for parameter in groups["image"]:
            parameter.grad.fill_(float("nan"))


class DividesByALoss(Good):
    def epoch(self, net, train, held):
        import torch

        net.weight = net.weight * torch.tensor(held["joint"]) / torch.tensor(train["joint"])


class DrawsAtRandom(Good):
    def loss(self, net, value, result):
        return value * random.random()


class WritesInPlace(Good):
    def before(self, net, tokens, batch):
        batch.present["image"].fill_(True)
        return tokens, batch


class PeeksAtTheSource(Good):
    """Follows the graph from tokens back to the raw values, as a saved hook could."""

    def loss(self, net, value, result):
        return value + _raw_sum(result.fused)


def _raw_sum(tensor):
    """The sum of whatever the first matrix product behind ``tensor`` read."""
    queue = [tensor.grad_fn]
    while queue:
        node = queue.pop(0)
        if hasattr(node, "_saved_mat1"):
            return node._saved_mat1.abs().sum()
        queue += [parent for parent, _ in node.next_functions if parent is not None]
    raise LookupError("no matrix product")


class BreaksWhenHeavy(Good):
    def add(self, net):
        if net.weight == 1.0:
            raise ValueError("1 is too heavy")


class PacksAnAttribute(Good):
    def space(self, task):
        return {"weight": Float(0.1, 1.0, 0.5, packs=True)}


class ReadsOneTrialsNumber(Good):
    def space(self, task):
        return {"weight": Float(0.1, 1.0, 0.5, packs=True)}

    def build(self, features, targets, params):
        import torch

        net, weight = super().build(features, targets, params), params["weight"]
        net.register_buffer("kept", torch.tensor(weight))
        net.weight, net.after_backward = 1.0, None  # what changes gradients never packs
        plain = net.loss
        net.loss = lambda *given: weight * plain(*given)
        return net


BROKEN = [
    (NeedsTheUnknown, "offers_a_term", "needs ['logits']"),
    (DoesNothing, "offers_a_term", "without any of before, loss, after_backward"),
    (Shortens, "shapes_kept", "became"),
    (ForgetsTheBatch, "shapes_kept", "is dict, not a Batch"),
    (MasksEverything, "shapes_kept", "no real token left"),
    (DropsEverything, "never_drops_everything", "lost everything"),
    (RevivesTheAbsent, "never_drops_everything", "became present"),
    (HasAnIdleLayer, "finite_gradient", "'idle.weight' takes no part"),
    (VectorLoss, "finite_gradient", "the loss is"),
    (DividesByALoss, "epochs_heard", "the loss is"),
    (SpoilsGradients, "gradients_stay_finite", "is not finite"),
    (DrawsAtRandom, "determinism", "two builds from one seed"),
    (WritesInPlace, "inputs_not_mutated", "image: values differ"),
    (PeeksAtTheSource, "absent_cannot_leak", "other tokens in absent rows"),
    (BreaksWhenHeavy, "corners_build", "1 is too heavy"),
    (PacksAnAttribute, "packed_numbers_are_buffers", "stands in no buffer"),
    (ReadsOneTrialsNumber, "packed_as_alone", "a Python value of one trial served all"),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    [check] = [check for _, check in component_checks(broken()) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(broken())
    assert seen in str(caught.value)


def test_every_check_has_a_broken_regulariser():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_regulariser_that_they_break_is_sound():
    check_component(Good())
