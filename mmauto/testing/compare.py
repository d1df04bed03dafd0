"""Snapshots and comparisons of nested tensors, arrays and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Path -> leaf of nested mappings, sequences and dataclasses, mappings in sorted order."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
    if isinstance(value, Mapping):
        parts = [(str(key), value[key]) for key in sorted(value, key=str)]
    elif isinstance(value, list | tuple):
        parts = [(str(place), part) for place, part in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {f"{path}#": len(parts)}
    for name, part in parts:
        found.update(flat(part, f"{path}/{name}"))
    return found


class Snapshot(dict[str, Any]):
    """Path -> a copy of the leaf; tensors as arrays."""


def snapshot(value: Any) -> Snapshot:
    """`flat`, with copies that later changes in place do not reach."""
    if isinstance(value, Snapshot):
        return value
    return Snapshot({path: _copied(leaf) for path, leaf in flat(value).items()})


def difference(before: Any, after: Any, *, tolerance: float = 0.0) -> str:
    """Where two nested values differ by more than ``tolerance``, in words; empty where nowhere."""
    one, two = snapshot(before), snapshot(after)
    if one.keys() != two.keys():
        return f"other parts: {sorted(one.keys() ^ two.keys())[:5]}"
    for path, old in one.items():
        new = two[path]
        if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
            if old.shape != new.shape:
                return f"{path}: shape {old.shape} became {new.shape}"
            if not _close(old, new, tolerance):
                return f"{path}: values differ{_by(old, new)}"
        elif type(old) is not type(new) or (old != new and not (old != old and new != new)):
            return f"{path}: {old!r} became {new!r}"
    return ""


def finite(value: Any) -> str:
    """The first tensor or array that holds NaN or infinity, in words; empty where none does."""
    for path, leaf in snapshot(value).items():
        numbers = isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fc"
        if numbers and not np.isfinite(leaf).all():
            return f"{path}: {(~np.isfinite(leaf)).sum()} of {leaf.size} values are not finite"
    return ""


def bad_gradient(module: nn.Module) -> str:
    """The first trainable parameter without a finite gradient, in words; empty where none is."""
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            return f"the parameter {name!r} takes no part in the loss"
        if not parameter.grad.isfinite().all():
            return f"the gradient of {name!r} is not finite"
    return ""


def probe(value: Any, seed: int = 0) -> Tensor:
    """A scalar that depends on every floating-point tensor in ``value``, with random weights."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    total = torch.zeros(())
    for leaf in flat(value).values():
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            total = total + (leaf * torch.randn(leaf.shape, generator=draw)).sum()
    return total


def squares(outputs: Mapping[str, Tensor]) -> Tensor:
    """A task loss that needs no labels: {target: (B, width)} -> (B,)."""
    import torch

    return torch.stack([(outputs[n] - 1).square().mean(-1) for n in sorted(outputs)]).sum(0)


def _copied(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    if hasattr(leaf, "detach"):
        return leaf.detach().cpu().clone().numpy()
    return leaf


def _close(one: np.ndarray, two: np.ndarray, tolerance: float) -> bool:
    if one.dtype.kind not in "fc":
        return bool(np.array_equal(one, two))
    return bool(np.allclose(one, two, rtol=tolerance, atol=tolerance, equal_nan=True))


def _by(one: np.ndarray, two: np.ndarray) -> str:
    if one.dtype.kind not in "fc":
        return ""
    return f" by up to {np.nanmax(np.abs(one - two)):.3g}"
