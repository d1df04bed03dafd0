"""Batch norms folded into the convolutions before them: the same function in fewer steps.

Found by running a batch and looking at what each norm reads, so that any module will do; see
`torch.nn.utils.fusion` for the algebra.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmauto.engine.once import named

ALIKE = 1e-3
"""Largest deviation through rounding, as a share of an array's largest value."""


def has_convolutions(module: nn.Module) -> bool:
    """Whether there is anything to fold into, or to run with channels last."""
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def folded(module: nn.Module, batch: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a module with channels last, its batch norms folded.

    What a kind of norm does after normalising stands in its children (timm's: the activation) and
    stays. Where the outputs then differ, e.g. since something else reads the convolution's output
    too, no norm is folded.

    Args:
        module: in evaluation mode.
        batch: a few rows ``(B, ...)`` that it may read.
    """
    device = next(iter(batch.values())).device
    own: Any = copy.deepcopy(module)
    plain: nn.Module = own.to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        other: nn.Module = copy.deepcopy(plain)
        for conv, norm in _pairs(module, batch):
            first: Any = other.get_submodule(conv)
            second: Any = other.get_submodule(norm)
            fused: nn.Module = fuse_conv_bn_eval(first, second)
            other.set_submodule(conv, fused)
            other.set_submodule(norm, nn.Sequential(*second.children()))
        return other if alike(named(module(**batch)), named(other(**batch))) else plain


def alike(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    """Whether all arrays are equal up to rounding."""
    return all(
        float((value - two[name]).abs().max()) <= ALIKE * float(value.abs().max())
        if value.is_floating_point()
        else torch.equal(value, two[name])
        for name, value in one.items()
    )


def _pairs(module: nn.Module, batch: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Names of convolutions and of the norms that read their outputs, each run once a batch."""
    names = {part: name for name, part in module.named_modules()}
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}
    pairs: list[tuple[nn.Module, nn.Module]] = []
    runs: list[nn.Module] = []

    def convolved(part: nn.Module, _: Any, output: Tensor) -> None:
        outputs[id(output)] = part, output  # kept, since an id is unique among living objects only
        runs.append(part)

    def reads(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        runs.append(part)
        if id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], part))

    hooks = []
    for part in names:
        if isinstance(part, nn.Conv2d):
            hooks.append(part.register_forward_hook(convolved))
        elif isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            hooks.append(part.register_forward_pre_hook(reads))
    try:
        module(**batch)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (names[conv], names[norm])
        for conv, norm in pairs
        if runs.count(conv) == runs.count(norm) == 1
    ]
