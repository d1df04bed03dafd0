"""Each check of fusions can fail: one broken fusion a check."""

from __future__ import annotations

import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Choice, Float, Fusion, FusionResult
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_fusion import CHECKS


class Good(Fusion):
    """The mean of each modality's projected tokens, added up."""

    name = "good"
    stage = "early"
    summary = "a sum"
    reference = "made up"

    def space(self, task):
        return {"width": Choice((4, 8))}

    def build(self, features, heads, params):
        from torch import nn

        owner, keys = self, sorted(features)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                width = params["width"]
                self.linears = nn.ModuleList(nn.Linear(features[k].dim, width) for k in keys)
                self.heads = heads(width)
                owner.add(self)

            def forward(self, tokens, present):
                pairs = list(zip(keys, self.linears, strict=True))
                parts = {k: linear(owner.pool(tokens[k])) for k, linear in pairs}
                fused = sum(parts[key] for key in keys)
                return owner.run(self, tokens, present, fused, parts)

        return Net()

    def pool(self, tokens):
        return tokens.mean()

    def add(self, net):
        """What a broken fusion adds to its module."""

    def run(self, net, tokens, present, fused, parts):
        """What a broken fusion makes of the parts."""
        return FusionResult(net.heads(fused), fused=fused)


class SquashesOneRow(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult({k: v.squeeze(0) for k, v in net.heads(fused).items()})


class OddWeights(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult(net.heads(fused), weights=parts)


class PromisesVotes(Good):
    gives = frozenset({"per_modality"})


class VectorLoss(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult(net.heads(fused), losses={"norm": fused.norm(dim=-1)})


class RefusesAll(Good):
    def refuses(self, features, targets):
        return "it is never the right time"


class CentresTheBatch(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult(net.heads(fused - fused.mean(0)))


class HasAnIdleLayer(Good):
    def add(self, net):
        from torch import nn

        net.idle = nn.Linear(2, 2)


class IgnoresText(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult(net.heads(fused - parts.get("text", 0)))


class DrawsAtRandom(Good):
    def add(self, net):
        net.calls = 0

    def build(self, features, heads, params):
        import random

        net = super().build(features, heads, params)
        net.heads.linears[0].bias.data.fill_(random.random())
        return net


class WritesInPlace(Good):
    def pool(self, tokens):
        tokens.values += 1
        return tokens.mean()


class AveragesPadding(Good):
    def pool(self, tokens):
        return tokens.values.mean(1)


class InventsPresence(Good):
    """Writes to what the host lends it: from then on nothing counts as absent."""

    def run(self, net, tokens, present, fused, parts):
        for flag in present.values():
            flag.fill_(True)
        return FusionResult(net.heads(fused))


class DividesByPresent(Good):
    def run(self, net, tokens, present, fused, parts):
        count = sum(present[key].float() for key in parts)
        return FusionResult(net.heads(fused / count.unsqueeze(-1)))


class TakesTheFirst(Good):
    def run(self, net, tokens, present, fused, parts):
        return FusionResult(net.heads(fused + parts[next(iter(tokens))]))


class BreaksWhenWide(Good):
    def add(self, net):
        if net.linears[0].out_features == 8:
            raise ValueError("8 is too wide")


class PacksAnAttribute(Good):
    def space(self, task):
        return {**super().space(task), "weight": Float(0.0, 1.0, 0.1, packs=True)}


class VectorObjective(Good):
    def add(self, net):
        net.objective = lambda result, batch, task_loss: task_loss(result.outputs)


class ReadsOneTrialsNumber(Good):
    def space(self, task):
        return {**super().space(task), "weight": Float(0.0, 1.0, 0.1, packs=True)}

    def build(self, features, heads, params):
        import torch

        net, weight = super().build(features, heads, params), params["weight"]
        net.register_buffer("weight", torch.tensor(weight))
        plain = net.forward

        def forward(tokens, present):
            found = plain(tokens, present)
            outputs = {name: weight * value for name, value in found.outputs.items()}
            return FusionResult(outputs, fused=found.fused)

        net.forward = forward
        return net


BROKEN = [
    (SquashesOneRow, "promised_shape", "at B = 1"),
    (OddWeights, "promised_shape", "weights"),
    (VectorLoss, "promised_shape", "not a scalar"),
    (RefusesAll, "promised_shape", "it refuses all: ['it is never the right time']"),
    (PromisesVotes, "promised_fields", "gives per_modality, which stayed empty"),
    (CentresTheBatch, "batch_independence", "row 0 alone"),
    (HasAnIdleLayer, "finite_gradient", "'idle.weight' takes no part"),
    (IgnoresText, "finite_gradient", "no gradient reaches the tokens of 'text'"),
    (VectorObjective, "finite_gradient", "the objective has shape (7,)"),
    (DrawsAtRandom, "determinism", "two builds from one seed"),
    (WritesInPlace, "inputs_not_mutated", "/values: values differ"),
    (AveragesPadding, "padding_cannot_leak", "under padding"),
    (InventsPresence, "absent_cannot_leak", "other tokens in absent rows"),
    (DividesByPresent, "any_subset_absent", "with nothing present"),
    (TakesTheFirst, "dict_order", "turned round"),
    (BreaksWhenWide, "corners_build", "8 is too wide"),
    (PacksAnAttribute, "packed_numbers_are_buffers", "stands in no buffer"),
    (ReadsOneTrialsNumber, "packed_as_alone", "side by side (vmapped) than one by one"),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    [check] = [check for _, check in component_checks(broken()) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(broken())
    assert seen in str(caught.value)


def test_every_check_has_a_broken_fusion():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_fusion_that_they_break_is_sound():
    check_component(Good())
