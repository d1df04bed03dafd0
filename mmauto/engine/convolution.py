"""Convolutions in training: the memory layout and precision in which processors run them fastest.

Channels last and bfloat16 halve the time of a step on processors that compute in bfloat16. Only the
training of an encoder uses it; predictions are in full precision, wherever the model goes.
"""

from __future__ import annotations

import torch
from torch import nn


def convolves(module: nn.Module) -> bool:
    """Whether it trains two-dimensional convolutions."""
    return any(isinstance(m, nn.Conv2d) and m.weight.requires_grad for m in module.modules())


def lay_out(module: nn.Module) -> bool:
    """Channels last, where it convolves; says whether it does."""
    found = convolves(module)
    if found:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return found


def half() -> torch.autocast:
    """bfloat16 on a CPU that computes in it; CUDA has its own, see `precision`."""
    enabled = has_bf16() and not torch.is_autocast_enabled("cuda")
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def has_bf16() -> bool:
    """Whether the processor computes in bfloat16; elsewhere it is emulated, and slow."""
    # torch's private names: its public question also says yes where bfloat16 is emulated
    return any(
        bool(getattr(torch.cpu, name, bool)())
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
