"""What runs once a sample: a frozen encoder or a stem, in a form and in batches that are fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmauto.contracts import Encoder, State
from mmauto.space import Params
from mmauto.values import Tokens

PLAIN, FOLDED, BF16 = "plain", "folded", "bf16"
"""As built; channels last with norms folded into convolutions; that under bfloat16 autocast."""

BATCH = {"cpu": 32, "cuda": 256}
"""Samples at a time: larger batches leave a processor's cache and take half as long again."""


def once(encoder: Encoder, state: State, params: Params, device: torch.device) -> nn.Module | None:
    """What need not run again in every epoch: a frozen encoder as a whole, or its stem."""
    module = encoder.build(state, params) if encoder.frozen(params) else encoder.stem(state, params)
    return None if module is None else module.to(device).eval()


def has_stem(encoder: Encoder) -> bool:
    """Whether the encoder may have a stem; building one to know would load weights."""
    return type(encoder).stem is not Encoder.stem


def named(found: Tokens | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `once`'s module gives, as arrays by name."""
    if isinstance(found, Tokens):
        return {"values": found.values, "mask": found.mask}
    return dict(found)


def slices(total: int, size: int) -> list[slice]:
    """``total`` rows in parts of at most ``size``."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


class Formed(nn.Module):
    """A frozen module in a form; gives arrays ``(B, ...)`` by name, floats in full precision.

    Rows are run in small batches, those of like length together, so that little padding is read.
    """

    def __init__(self, module: nn.Module, form: str = PLAIN):
        super().__init__()
        self.module, self.form = module, form

    def forward(self, **arrays: Tensor) -> dict[str, Tensor]:
        """Prepared arrays ``(B, ...)`` -> arrays ``(B, ...)``."""
        first = next(iter(arrays.values()))
        size = BATCH.get(first.device.type, BATCH["cpu"])
        # neither a loop over the batch nor a mixed precision can be traced
        if torch.compiler.is_exporting() or len(first) <= size:
            return self._run(arrays)
        order = torch.arange(len(first), device=first.device)
        if "mask" in arrays:
            order = arrays["mask"].flatten(1).sum(1).argsort(stable=True)
        parts = [
            self._run({name: array[order[cut]] for name, array in arrays.items()})
            for cut in slices(len(first), size)
        ]
        back = order.argsort()
        return {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with precision(next(iter(arrays.values())).device, self.form):
            found = named(self.module(**arrays))
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in found.items()
        }


def precision(device: torch.device, form: str = PLAIN) -> torch.autocast:
    """bf16 where a CUDA device has it, and on a CPU where the form says so."""
    if device.type == "cuda":
        enabled = torch.cuda.is_bf16_supported()
    else:
        enabled = form == BF16 and not torch.compiler.is_exporting()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@contextmanager
def using(threads: int) -> Iterator[None]:
    """So many torch threads: encoding is heavy enough for several, training small heads is not."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
