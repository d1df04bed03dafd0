"""Does the model serve some rows worse than others? The metric by the values of a named column.

A gap is the metric of a subgroup less that of all other test rows. Its interval resamples rows
(groups, where rows come in groups) and seeds crossed; its test deals the labels anew
(`mmauto.answers.shuffle`), and allows for the number of subgroups (Holm 1979). Small subgroups are
shown, and not judged: their figures are mostly luck (Chouldechova and Roth 2020, CACM 63).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from mmauto.answers.needed import ERRORS, HALF_WIDTH, detectable
from mmauto.answers.permutation import holm
from mmauto.answers.shuffle import SHUFFLES, LabelShuffle
from mmauto.answers.statistics import Resampled, Scored
from mmauto.answers.weighted import weighted_score
from mmauto.engine.metrics import score
from mmauto.engine.thresholds import at_half
from mmauto.views import Interval, StudyView

FEW_ROWS = 30
FEW_GROUPS = 5
"""Rows, and groups of them, below which a subgroup (or the rest) is too small to judge."""

LEVEL = 0.05


@dataclass(frozen=True)
class Subgroup:
    """How one arm serves the test rows of one value of a column.

    Attributes:
        rows: those whose primary label is known.
        positives: of them, for a binary target; else None.
        value: the primary metric on them; NaN where it is not defined.
        gap: how much better they are served than all other rows: positive is better, whatever the
            metric.
        p, p_holm: of the gap, alone and allowing for the other subgroups of the column; NaN where
            it is not tested.
        small: why the subgroup is too small to judge; empty where it is judged.
        tests: gaps of this column that are tested.
    """

    arm: str
    column: str
    label: str
    rows: int
    positives: int | None
    value: Interval
    gap: Interval
    p: float = math.nan
    p_holm: float = math.nan
    small: str = ""
    tests: int = 0

    @property
    def name(self) -> str:
        """Column and label."""
        return f"{self.column} {self.label}"

    @property
    def differs(self) -> bool:
        """The gap is more than chance: the test says so, and the interval leaves zero out."""
        return self.p_holm < LEVEL and not self.gap.low <= 0 <= self.gap.high

    @property
    def detectable(self) -> float:
        """The smallest gap that four times out of five would have been found."""
        errors = NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, self.tests))) + ERRORS - HALF_WIDTH
        return detectable(self.gap) * errors / ERRORS


def subgroups(view: StudyView, shuffles: int = SHUFFLES) -> list[Subgroup]:
    """Of the winner, and of the reference where it is another arm, by column and label.

    Args:
        shuffles: of the test; see `mmauto.answers.shuffle.LabelShuffle`.

    Returns:
        Empty where no column was named or nothing is confirmed.
    """
    found = view.comparison
    arms = dict.fromkeys(arm for arm in (found.winner, found.reference) if arm is not None)
    runs = {arm: _runs(view, arm) for arm in arms}
    runs = {arm: given for arm, given in runs.items() if given}
    if not runs:
        return []
    return [
        one
        for column, labels in view.subgroups.items()
        for one in _Column(view, column, labels).answers(runs, shuffles)
    ]


def _runs(view: StudyView, arm: str) -> list[np.ndarray]:
    """(N, width) decided test predictions, one a seed."""
    target = view.task.primary
    own = [run for run in view.confirmations if run.arm == arm and target in run.test]
    return [at_half(run, target) for run in sorted(own, key=lambda run: run.seed)]


class _Column:
    """The test rows of one column's subgroups, those without a known label left out."""

    def __init__(self, view: StudyView, column: str, labels: np.ndarray):
        self.column, self.metric = column, view.task.metric
        self.spec = view.task.targets[view.task.primary]
        truth, groups = view.truth["test"][view.task.primary], view.groups.get("test")
        if groups is not None and _are_groups(labels, groups):
            groups = None  # the question is about these very groups, of which each has its rows
        self.shared = Resampled(self.metric, self.spec, truth, groups)
        known = self.shared.known
        self.truth, self.labels = self.shared.truth, labels[known]
        self.units = None if groups is None else np.unique(groups[known], return_inverse=True)[1]

    def answers(self, runs: Mapping[str, Sequence[np.ndarray]], shuffles: int) -> list[Subgroup]:
        """Label by label, and for each arm by arm."""
        names = sorted(set(self.labels.tolist()), key=_place)
        given = {arm: [run[self.shared.known] for run in own] for arm, own in runs.items()}
        found = [self._one(arm, name, given[arm]) for name in names for arm in given]
        tested = [
            name for name in names if not any(one.small for one in found if one.label == name)
        ]
        if not tested:
            return found
        codes = np.array([names.index(label) for label in self.labels.tolist()])
        test = LabelShuffle(self.metric, self.spec, self.truth, codes, self.units, shuffles)
        # two subgroups without a third have one gap, seen from both sides
        count = 1 if len(names) == 2 else len(tested)
        p_values = test.p_values(list(given.values()), [names.index(n) for n in tested[:count]])
        for arm, row in zip(given, p_values.tolist(), strict=True):
            alone = dict.fromkeys(tested, row[0]) | dict(zip(tested, row, strict=False))
            allowed = holm(alone) if count > 1 else alone
            found = [
                replace(one, p=alone[one.label], p_holm=allowed[one.label], tests=count)
                if one.arm == arm and one.label in alone
                else one
                for one in found
            ]
        return found

    def _one(self, arm: str, label: str, given: Sequence[np.ndarray]) -> Subgroup:
        mask = self.labels == label
        inside = [self._scored(run, mask) for run in given]
        outside = [self._scored(run, ~mask) for run in given]
        value, gap = self.shared.mean(inside), self.shared.gain(inside, outside)
        small = self._small(mask) or ("" if math.isfinite(gap.value) else "metric not defined")
        positives = int(self.truth[mask].sum()) if self.spec.kind == "binary" else None
        return Subgroup(
            arm, self.column, label, int(mask.sum()), positives, value, gap, small=small
        )

    def _scored(self, run: np.ndarray, mask: np.ndarray) -> Scored:
        """One run's metric on some rows, under the resamples of all rows."""
        truth, given = self.truth[mask], run[mask]
        return Scored(
            score(self.metric, self.spec, truth, given),
            weighted_score(self.metric, self.spec, truth, given, self.shared.rows[:, mask]),
        )

    def _small(self, mask: np.ndarray) -> str:
        """Why the subgroup, or the rest, is too small to judge."""
        for part, what in ((mask, ""), (~mask, "other ")):
            if part.sum() < FEW_ROWS:
                return f"under {FEW_ROWS} {what}rows"
            if self.units is not None and len(np.unique(self.units[part])) < FEW_GROUPS:
                return f"under {FEW_GROUPS} {what}groups"
            several = self.spec.kind in ("binary", "multiclass") and self.metric != "accuracy"
            if several and len(np.unique(self.truth[part])) < 2:
                return f"one class only{' in the other rows' if what else ''}"
        return ""


def _are_groups(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Each subgroup is one whole group."""
    pairs = set(zip(labels.tolist(), groups.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(groups.tolist()))


def _place(label: str) -> tuple[bool, bool, float, bool, str]:
    """Ranges and numbers in their order, then words, and what stands in brackets last."""
    start = r"(up to |over |from )?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    found = re.match(start, label)
    number = 0.0 if found is None else float(found[2])
    return label.startswith("("), found is None, number, not label.startswith("up to "), label
