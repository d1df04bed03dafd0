"""Figures as people write them: with their interval, as a multiple or as a share."""

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


def times(ratio: float) -> str:
    """A multiple with two digits that count, e.g. ``1.1``, ``23`` or ``1,200``."""
    return f"{float(f'{ratio:.2g}'):,.{0 if ratio >= 9.95 else 1}f}"


def percent(share: float) -> str:
    """``12 %``."""
    return f"{100 * share:.0f} %"
