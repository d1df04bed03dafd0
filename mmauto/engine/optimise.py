"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mmauto.space import Params


def make_optimiser(trained: Sequence[nn.Parameter], params: Params) -> torch.optim.Optimizer:
    """AdamW by default; parameters of one dimension (norms, biases, absent tokens) do not decay."""
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in trained if p.ndim > 1],
            "weight_decay": params["train/weight_decay"],
        },
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    lr = float(params["train/lr"])
    if params["train/optimiser"] == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    kind = torch.optim.Adam if params["train/optimiser"] == "adam" else torch.optim.AdamW
    return kind(groups, lr=lr, fused=True)


def make_schedule(
    optimiser: torch.optim.Optimizer, params: Params, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """A linear warm-up (10 % of the steps by default), then cosine to zero, or constant."""
    warm = round(float(params.get("train/warm_up", 0.1)) * steps)
    cosine = params["train/schedule"] == "cosine"

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if not cosine:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
