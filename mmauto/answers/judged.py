"""Two arms on the test rows: the winner, and the best single modality beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmauto.answers.statistics import Resampled, Scored, interval
from mmauto.answers.sums import both_columns
from mmauto.engine.thresholds import centred
from mmauto.views import ConfirmationView, Interval, StudyView


class Judged:
    """The confirmed runs of a study's primary target, all under the same resamples.

    A figure is an array ``(1 + R,)``: on the rows as they are, then under each resample.

    Attributes:
        truth: ``(N,)`` or ``(N, width)``, observed rows only.
        weights: ``(1 + R, N)`` how often each row counts; ones in the first line.
        arms: those that have runs, the winner first; none where no row is observed.
    """

    def __init__(self, view: StudyView):
        primary = view.task.primary
        self.view, self.spec = view, view.task.targets[primary]
        self.shared = Resampled(
            view.task.metric, self.spec, view.truth["test"][primary], view.groups.get("test")
        )
        self.truth = self.shared.truth
        ones = np.ones((1, len(self.truth)), dtype=np.float32)
        self.weights = np.vstack([ones, self.shared.rows]) if len(self.truth) else ones
        wanted = dict.fromkeys((view.comparison.winner, view.comparison.reference))
        self.arms = [a for a in wanted if a and self.runs(a)] if len(self.truth) else []

    def runs(self, arm: str) -> list[ConfirmationView]:
        """Those of one arm that did not fail."""
        return [r for r in self.view.confirmations if r.arm == arm and r.failure is None]

    def predicted(self, arm: str) -> list[ConfirmationView]:
        """The same with their predictions, where those of `runs` are ranks."""
        return [r for r in self.view.decisions if r.arm == arm and r.failure is None]

    @property
    def folded(self) -> bool:
        """Whether test rows validate, too (pooled folds): nothing may be fitted on these."""
        ids = self.view.ids
        return bool(np.isin(ids.get("valid", []), ids.get("test", [])).any())

    def given(self, run: ConfirmationView) -> np.ndarray:
        """``(N, width)`` the probabilities as they are; of a binary target both columns."""
        return both_columns(self.spec, run.test[self.spec.name][self.shared.known].astype(float))

    def decided(self, run: ConfirmationView) -> np.ndarray:
        """``(N, width)`` the same, bent so that decisions fall on 0.5."""
        name = self.spec.name
        bent = centred(run.test[name][self.shared.known].astype(float), run.thresholds.get(name))
        return both_columns(self.spec, bent)

    def mean(self, figures: Sequence[np.ndarray]) -> np.ndarray:
        """``(1 + R,)`` the mean of a figure over runs, rows and runs resampled crossed."""
        value, resamples = self.shared.crossed([Scored(float(f[0]), f[1:]) for f in figures])
        return np.append(value, resamples)


def bounds(figure: np.ndarray) -> Interval:
    """A figure ``(1 + R,)`` with its percentile interval."""
    return interval(float(figure[0]), figure[1:])


def bounded(figure: np.ndarray) -> Interval:
    """The same of a share, which ends at 0 and 1."""
    found = bounds(figure)
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
