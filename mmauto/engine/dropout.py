"""Dropout whose rate can differ between the trials of a pack."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """`torch.nn.Dropout` with its rate in a buffer, so that a pack can hold a rate a trial.

    All trials of a study train from one seed, so those of a pack would draw the same numbers one
    by one, too: they are drawn once for all, and packed training equals training alone.

    Attributes:
        rate: ``()``, or ``(K,)`` where the rows of K trials stand one after another.
    """

    def __init__(self, rate: float | Tensor):
        super().__init__()
        self.rate: Tensor
        # not persistent: a stored model has nn.Dropout, which has nothing to store
        self.register_buffer("rate", torch.as_tensor(rate).float(), persistent=False)

    @property
    def p(self) -> float:
        """The rate of one trial, as `torch.nn.Dropout` calls it: transformers reads it."""
        return float(self.rate)

    def forward(self, values: Tensor) -> Tensor:
        """Any shape in and out; K * B rows where there are K rates."""
        if not self.training:
            return values
        if not self.rate.ndim:
            return values * _kept(torch.rand_like(values), self.rate)
        own = values.reshape(len(self.rate), -1, *values.shape[1:])  # (K, B, ...)
        rate = self.rate.view(-1, *[1] * (own.ndim - 1)).to(values.dtype)
        return (own * _kept(torch.rand_like(own[0]), rate)).flatten(0, 1)


def _kept(draws: Tensor, rate: Tensor) -> Tensor:
    rate = rate.to(draws.dtype)
    return torch.where(draws >= rate, 1.0 / (1.0 - rate), 0.0)


def swap_dropout(module: nn.Module) -> None:
    """Put ours in the place of every `torch.nn.Dropout` below ``module``."""
    for name, child in module.named_children():
        if type(child) is nn.Dropout and child.p < 1.0:
            setattr(module, name, Dropout(child.p))
        else:
            swap_dropout(child)
