"""The sections of the report, one module each: pure functions of what is stored."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Section, hookimpl
from mmauto_sections.calibration import Calibration
from mmauto_sections.confusion import Confusion
from mmauto_sections.cost import Cost
from mmauto_sections.data import Data
from mmauto_sections.examples import Examples
from mmauto_sections.failures import Failures
from mmauto_sections.gains import Gains
from mmauto_sections.leaderboard import Leaderboard
from mmauto_sections.rankings import Rankings
from mmauto_sections.relies import Relies
from mmauto_sections.reproduce import Reproduce
from mmauto_sections.robustness import Robustness
from mmauto_sections.search import Search
from mmauto_sections.strategies import Strategies
from mmauto_sections.subgroups import Subgroups
from mmauto_sections.verdict import Verdict


@hookimpl
def mmauto_sections() -> Sequence[Section]:
    """All built-in sections."""
    return [
        Verdict(), Gains(), Leaderboard(), Strategies(), Cost(), Confusion(), Calibration(),
        Rankings(), Subgroups(), Relies(), Robustness(), Examples(), Search(), Failures(), Data(),
        Reproduce(),
    ]  # fmt: skip
