"""How small a difference the test rows can show, before anything is trained.

For two models scored on the same rows, the difference of their accuracies has the standard error
``sqrt((d - D**2) / n)``: ``d`` is the share of rows on which exactly one of them is right, ``D``
the difference (McNemar 1947; sample size: Connor 1987, Biometrics 43). A difference is found with
80 % power at the two-sided 5 % level where it is 2.8 standard errors.
"""

from __future__ import annotations

import math

DISCORDANT = 0.25
"""Share of rows on which two fair models of a hard task typically disagree about being right."""

ERRORS = 1.960 + 0.842
WORTHWHILE = 0.05
"""A gain that most users care about: five points."""


def detectable(rows: int, discordant: float = DISCORDANT) -> float:
    """The smallest difference in accuracy that ``rows`` independent test rows show."""
    return ERRORS * math.sqrt(discordant / (rows + ERRORS**2))


def rows_needed(difference: float, discordant: float = DISCORDANT) -> int:
    """Test rows that show ``difference`` in accuracy."""
    return math.ceil(ERRORS**2 * (discordant - difference**2) / difference**2)
