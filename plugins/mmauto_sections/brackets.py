"""A figure with its interval as people write it."""

from __future__ import annotations

import math

from mmauto.plugin import Interval


def bracketed(found: Interval) -> str:
    """``0.812 [0.764, 0.853]``; a dash where it is not defined."""
    if math.isnan(found.value):
        return "–"
    return f"{found.value:.3f} {ends(found)}"


def ends(found: Interval) -> str:
    """``[0.764, 0.853]``; a dash where it is not defined."""
    return "–" if math.isnan(found.low) else f"[{found.low:.3f}, {found.high:.3f}]"
