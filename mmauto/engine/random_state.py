"""Torch's global random streams: a state of its own for each trial, or the same for several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import torch
from torch import nn

T = TypeVar("T")
RandomState: TypeAlias = tuple[torch.Tensor, list[torch.Tensor]]


def random_state() -> RandomState:
    """Of the CPU and of every CUDA device in use."""
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if _cuda() else []


def set_random_state(state: RandomState) -> None:
    """Go on from ``state``."""
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])


def seeded_state(seed: int) -> RandomState:
    """The state that ``seed`` begins with; the current one is left alone."""
    before = random_state()
    torch.manual_seed(seed)
    found = random_state()
    set_random_state(before)
    return found


def alike(items: Iterable[T]) -> Iterator[T]:
    """Each item in turn, all from the random state that the first one begins with."""
    start: RandomState | None = None
    for item in items:
        if start is None:
            start = random_state()
        else:
            set_random_state(start)
        yield item


@contextmanager
def untouched(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Leave random streams and the modules' buffers as they were found."""
    start = random_state()
    parts = [part for module in modules for part in module.modules()]
    buffers = [
        (part, name, buffer, buffer.clone())
        for part in parts
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        set_random_state(start)
        with torch.no_grad():
            for part, name, buffer, before in buffers:
                part._buffers[name] = buffer  # code may have put another tensor in its place
                buffer.copy_(before)


def free_memory() -> None:
    """Give back what a GPU holds for nothing."""
    if _cuda():
        torch.cuda.empty_cache()


def _cuda() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
