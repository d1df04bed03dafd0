"""GradNorm's steps, by the paper's formulae, also where labels are missing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mmauto.engine.target_weights import ALPHA, RATE, GradNorm


def test_where_no_target_is_observed_nothing_is_learned() -> None:
    weights = GradNorm(["a", "b"])
    fused = torch.randn(8, 4, requires_grad=True)
    one, none = fused[:, 0].square().mean(), fused[:, 1].square().mean() * 0
    weights.balance({"a": none, "b": none}, fused)
    assert weights.weights.tolist() == [1.0, 1.0]
    assert weights.first.tolist() == [0.0, 0.0]
    for _ in range(3):
        weights.balance({"a": one, "b": one + 2 * none + 1}, fused)
    before = weights.weights.clone(), weights.first.clone()
    weights.balance({"a": none, "b": none}, fused)
    torch.testing.assert_close((weights.weights, weights.first), before)


def plain_gradnorm(
    weights: Tensor, first: Tensor, means: list[float], sizes: list[float]
) -> tuple[list[float], list[float]]:
    """A step of Chen et al. 2018 target by target, with Python's numbers."""
    start = [was or now for was, now in zip(first.tolist(), means, strict=True)]
    known = [place for place, now in enumerate(means) if now > 0]
    usual = sum(means[n] / start[n] for n in known) / len(known)
    progress = [now / was if now > 0 else usual for now, was in zip(means, start, strict=True)]
    seen = [w * size for w, size in zip(weights.tolist(), sizes, strict=True)]
    centre, scale = sum(seen) / len(seen), sum(sizes) / len(sizes)
    rate = [p * len(progress) / sum(progress) for p in progress]
    fresh = [
        max(0.05, w - RATE * math.copysign(1, s - centre * r**ALPHA) * size / scale)
        for w, s, r, size in zip(weights.tolist(), seen, rate, sizes, strict=True)
    ]
    return [w * len(fresh) / sum(fresh) for w in fresh], start


def test_gradnorm_steps_as_the_paper_says_with_labels_missing_now_and_then() -> None:
    source = torch.Generator().manual_seed(0)
    weights = GradNorm(["a", "b", "c"])
    for step in range(12):
        fused = torch.randn(8, 3, generator=source, requires_grad=True)
        here = torch.tensor([1.0, step % 3 > 0, step % 4 > 1]) * torch.tensor([3.0, 1.0, 0.2])
        losses = fused.square().mean(0) * here
        slopes = [2 * fused.detach()[:, n].norm() / 8 * here[n] for n in range(3)]
        expected, first = plain_gradnorm(
            weights.weights, weights.first, losses.tolist(), [float(slope) for slope in slopes]
        )
        weights.balance(dict(zip("abc", losses, strict=True)), fused)
        assert weights.weights.tolist() == pytest.approx(expected, rel=1e-5)
        assert weights.first.tolist() == pytest.approx(first, rel=1e-5)
