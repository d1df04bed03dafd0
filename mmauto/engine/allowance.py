"""A limit on what a bundle's metadata can make its plugins allocate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SPARE, MOST_CALLS = 50_000_000, 100_000
"""Numbers that a network may ask for beyond those in its file, and calls that building may take."""

MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye)


class Allowance(TorchFunctionMode):
    """Inside, networks are built that hold about as many numbers as their file.

    A width or a depth that was written into a bundle by hand would else fill the memory long
    before the weights are found not to fit.

    Args:
        numbers: in the file.

    Raises:
        ValueError: more is asked for.
    """

    def __init__(self, numbers: int):
        super().__init__()
        self.left = SPARE + 4 * numbers
        self.calls = MOST_CALLS

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count what is made, then make it."""
        if func in MAKERS:
            self.left -= math.prod(_size(args))
        self.calls -= 1
        if self.left < 0 or not self.calls:
            raise ValueError("its parameters ask for a far larger network than its weights")
        return func(*args, **kwargs or {})


def _size(args: Sequence[Any]) -> Sequence[int]:
    """The shape among a maker's arguments: ``(2, 3)``, or ``2, 3``."""
    given = args[0] if args and isinstance(args[0], list | tuple) else args
    return [side for side in given if isinstance(side, int)]
