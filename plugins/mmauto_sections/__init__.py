"""The sections of the report, one module each: pure functions of what is stored."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Section, hookimpl
from mmauto_sections.confusion import Confusion
from mmauto_sections.curves import Curves
from mmauto_sections.data import Data
from mmauto_sections.failures import Failures
from mmauto_sections.history import History
from mmauto_sections.importance import Importance
from mmauto_sections.leaderboard import Leaderboard
from mmauto_sections.reproduce import Reproduce
from mmauto_sections.strategies import Strategies
from mmauto_sections.verdict import Verdict


@hookimpl
def mmauto_sections() -> Sequence[Section]:
    """All built-in sections."""
    return [
        Verdict(), Leaderboard(), Strategies(), Curves(), History(), Importance(), Confusion(),
        Failures(), Data(), Reproduce(),
    ]  # fmt: skip
