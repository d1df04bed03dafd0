"""What a search tells whoever watches it: the progress display, plain lines, or nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmauto.findings import Finding, RoleGuess
from mmauto.views import ArmView, TrialView


class Watcher:
    """Every method may be overridden; this one says nothing."""

    def started(
        self, arms: Sequence[ArmView], totals: Mapping[str, int], seeds: int, maximise: bool
    ) -> None:
        """The search begins; ``totals`` are trials an arm, ``seeds`` confirmation runs an arm."""

    def data(self, roles: Sequence[RoleGuess], findings: Sequence[Finding]) -> None:
        """What the columns of a table are used as, and what was found in the data."""

    def note(self, text: str) -> None:
        """A sentence that the user should keep, e.g. a parked arm."""

    def saying(self, text: str) -> None:
        """What is going on right now; the next one replaces it."""

    def ended(self, trial: TrialView) -> None:
        """A trial of the search has ended, or was found in the store when resuming."""

    def confirmed(self, arm: str, seed: int, value: float | None) -> None:
        """A confirmation run has ended; ``value`` is None where it failed."""
