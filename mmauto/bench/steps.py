"""One step that makes searches fast: the same work without it and with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from mmauto.bench.measure import alternately
from mmauto.bench.row import Bench

COLUMNS = ("step", "without", "with", "times as fast", "measured on")
REPEATS = 5


def compared(
    bench: Bench,
    what: str,
    on: str,
    ours: Callable[[], float],
    baseline: Callable[[], float],
    unit: str = "ms",
) -> list[str]:
    """A line of `COLUMNS`: medians of both in turn, after one run of each that warms up.

    Args:
        on: what it was measured on.
        ours, baseline: give a figure in ``unit``, less being better.
    """
    bench.say(f"steps: {what}")
    if not bench.quick:
        ours(), baseline()
    mine, other = alternately(1 if bench.quick else REPEATS, ours, baseline)
    median, without = statistics.median(mine), statistics.median(other)
    figures = f"{without:.3g} {unit}", f"{median:.3g} {unit}", f"**{without / median:.2f}**"
    return [what, *figures, on]
