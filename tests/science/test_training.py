"""Regularisers that change how a model trains reach what they are for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


def own_accuracy(fitted, key):
    """Of one modality's own outputs."""
    return fitted.accuracy(outputs=fitted.result().per_modality[key]["y"])


@pytest.mark.parametrize("name", ["ogm_ge", "gradient_blending"])
def test_the_starved_modality_is_lifted(name, starved, train_on):
    def lifted(regulariser, **changes):
        return np.mean(
            [
                own_accuracy(
                    train_on(starved, "logit_sum", regulariser, epochs=15, seed=seed, **changes),
                    "b",
                )
                for seed in (0, 1)
            ]
        )

    changes = {"regulariser__ogm_ge__alpha": 2.0} if name == "ogm_ge" else {}
    assert lifted(name, **changes) > lifted("none") + 0.15


def test_modality_dropout_keeps_accuracy_where_one_is_absent(starved, train_on):
    """Trained on whole rows, a model leans on the easy modality and knows nothing without it."""
    plain = train_on(starved, epochs=20)
    dropped = train_on(
        starved, regulariser="modality_dropout", epochs=20, regulariser__modality_dropout__p=0.5
    )
    assert plain.accuracy(gone=("a",)) < 0.7
    assert dropped.accuracy(gone=("a",)) > 0.9
    assert dropped.accuracy(gone=("b",)) > 0.95


def test_mixup_makes_the_way_between_rows_straight(redundant, train_on):
    def bend(fitted):
        tokens, present = fitted.tokens()
        turned = {k: dataclasses.replace(t, values=t.values.flip(0)) for k, t in tokens.items()}
        middle = {
            k: dataclasses.replace(t, values=(t.values + turned[k].values) / 2)
            for k, t in tokens.items()
        }
        with torch.no_grad():
            ends = [
                fitted.model.fusion(part, present).outputs["y"].sigmoid()
                for part in (tokens, turned)
            ]
            found = fitted.model.fusion(middle, present).outputs["y"].sigmoid()
        return float((found - (ends[0] + ends[1]) / 2).abs().mean())

    mixed = train_on(
        redundant, regulariser="manifold_mixup", regulariser__manifold_mixup__alpha=1.0
    )
    assert bend(mixed) < 0.7 * bend(train_on(redundant))
    assert mixed.accuracy() > 0.95


@pytest.mark.parametrize("steps", [1, 3])
def test_adversarial_training_withstands_a_step_against_it(steps, spread, train_on):
    def attacked(fitted):
        tokens, present = fitted.tokens()
        values = {k: t.values.clone().requires_grad_() for k, t in tokens.items()}
        given = {k: dataclasses.replace(t, values=values[k]) for k, t in tokens.items()}
        truth = torch.from_numpy(fitted.world.label[-600:]).float()
        output = fitted.model.fusion(given, present).outputs["y"][:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output, truth)
        slopes = torch.autograd.grad(loss, list(values.values()))
        moved = {
            key: dataclasses.replace(part, values=part.values + 0.5 * part.values.std() * s.sign())
            for (key, part), s in zip(tokens.items(), slopes, strict=True)
        }
        with torch.no_grad():
            return fitted.accuracy(outputs=fitted.model.fusion(moved, present).outputs["y"])

    hard = train_on(
        spread, regulariser="adversarial_training", regulariser__adversarial_training__weight=1.0,
        regulariser__adversarial_training__radius=0.5,
        regulariser__adversarial_training__steps=steps,
    )  # fmt: skip
    assert attacked(hard) > attacked(train_on(spread)) + 0.03


def test_pseudo_labels_gain_from_unlabelled_rows(unlabelled, train_on):
    def accuracy(regulariser, **changes):
        return np.mean(
            [
                train_on(
                    unlabelled, regulariser=regulariser, epochs=15, seed=s, **changes
                ).accuracy()
                for s in (0, 1, 2)
            ]
        )

    gained = accuracy("pseudo_labels", regulariser__pseudo_labels__threshold=0.8)
    assert gained > accuracy("none") + 0.03
