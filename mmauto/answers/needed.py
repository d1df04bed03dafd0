"""How large a difference the test rows can show, and how many rows a difference needs.

A difference is found with 80 % power at the two-sided 5 % level where it is 2.8 standard errors
(Cohen 1988, Statistical Power Analysis). The standard error is taken from the interval of
the difference, which counts rows and seeds; it shrinks with the root of the rows.
"""

from __future__ import annotations

import math

from mmauto.views import Interval

HALF_WIDTH = 1.960
"""Standard errors on each side of a 95 % interval."""

ERRORS = HALF_WIDTH + 0.842
MOST = 1_000_000
"""More rows than this are no advice."""


def detectable(gain: Interval) -> float:
    """The smallest difference that would probably have been found on these rows."""
    return ERRORS * (gain.high - gain.low) / (2 * HALF_WIDTH)


def rows_needed(gain: Interval, rows: int) -> int | None:
    """Test rows on which a difference of this size would probably be found; None: too many.

    Args:
        gain: as found on ``rows`` rows.
    """
    if not gain.value or not math.isfinite(gain.high - gain.low):
        return None
    needed = rows * (detectable(gain) / abs(gain.value)) ** 2
    if not needed <= MOST:
        return None
    digits: int = 10 ** max(0, int(math.log10(max(needed, 1))) - 1)  # two figures: an estimate
    return max(rows, math.ceil(needed / digits) * digits)
