"""Fewer points where a figure has more than a browser draws with ease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_POINTS = 10_000
SPARED = 50
"""Points of a trace that stay in any case: lines to compare with have few."""


def thinned(
    traces: Sequence[Mapping[str, Any]], most: int = MOST_POINTS
) -> tuple[list[dict[str, Any]], int]:
    """Traces whose points are thinned evenly, each trace by the same share.

    The first and the last point of a trace stay. Whatever has a value a point (colours, error
    bars, dimensions) is thinned alike; heat maps are left as they are, for their cells are a grid.

    Returns:
        The traces, and how many points they had; about ``most`` of them remain.
    """
    sizes = [_points(trace) for trace in traces]
    total = sum(sizes)
    if total <= most:
        return [dict(trace) for trace in traces], total
    kept = [min(size, max(SPARED, size * most // total)) for size in sizes]
    return [
        _picked(trace, size, np.linspace(0, size - 1, keep).round().astype(int).tolist())
        for trace, size, keep in zip(traces, sizes, kept, strict=True)
    ], total


def _points(trace: Mapping[str, Any]) -> int:
    """Points that are drawn one by one; none in a heat map."""
    if trace.get("z") is not None:
        return 0
    columns = [trace.get("x"), trace.get("y")]
    columns += [dimension.get("values") for dimension in trace.get("dimensions", ())]
    return max((len(column) for column in columns if column is not None), default=0)


def _picked(value: Any, size: int, places: Sequence[int]) -> Any:
    if isinstance(value, Mapping):
        return {name: _picked(item, size, places) for name, item in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays
        value = value.tolist()
    if isinstance(value, list | tuple):
        if len(value) == size > 0:
            return [value[place] for place in places]
        return [_picked(item, size, places) for item in value]
    return value
