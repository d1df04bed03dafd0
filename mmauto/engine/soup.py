"""Greedy soup: the weights of a run's best checkpoints averaged, as far as validation gains.

Wortsman et al. 2022 (ICML): checkpoints are tried from the best down; one stays in the average if
the average does not become worse by it. Checkpoints of one run lie close together, so their
average is a model as well (Izmailov et al. 2018, UAI).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def greedy_soup(
    checkpoints: Sequence[tuple[float, State]], value_of: Callable[[State], float]
) -> tuple[float, State]:
    """The best average and its value.

    Args:
        checkpoints: (value, state) pairs; a higher value is better. One at least.
        value_of: the same for any state.
    """
    ranked = sorted(checkpoints, key=lambda pair: -pair[0])
    best, state = ranked[0]
    total, count = {name: tensor.clone() for name, tensor in state.items()}, 1
    for _, other in ranked[1:]:
        together = {name: tensor + other[name] for name, tensor in total.items()}
        mixed = {name: _mean(together[name], count + 1, state[name]) for name in total}
        value = value_of(mixed)
        if value >= best:
            best, state, total, count = value, mixed, together, count + 1
    return best, state


def _mean(total: Tensor, count: int, like: Tensor) -> Tensor:
    # counters (of batches that a norm has seen) are no weights: the best checkpoint's stay
    return torch.div(total, count) if like.is_floating_point() else like
