"""Test rows that are worth a look: the winner's surest mistakes, and where arms disagree most.

A mistake is sure where the mean over seeds gives a wrong class much probability, after thresholds
have moved to one half; for numbers, where the residual is large. Arms disagree where the
probabilities that they give to the true class are far apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmauto.engine.metrics import observed
from mmauto.engine.thresholds import HALF, at_half
from mmauto.values import TargetSpec
from mmauto.views import StudyView

EACH = 6
"""So many mistakes, and so many disagreements."""
ARMS = 4
"""At most so many arms are compared on a row, with the winner and the reference."""
TOP = 3
"""Classes that are shown of an answer."""


@dataclass(frozen=True)
class Pick:
    """A row to look at.

    Attributes:
        row: its place in the test split.
        why: ``mistake`` or ``disagreement``.
        output: of the primary target, the output that the winner's answer is about.
        sign: 1, or -1 where the answer is that this output is low.
    """

    row: int
    why: str
    output: int
    sign: int


@dataclass(frozen=True)
class Answer:
    """What one arm says of a row.

    Attributes:
        says: its decision, as people read it.
        right: what it gives to the truth: a probability (of labels: the least likely of them), or
            its number.
        chances: class -> probability, highest first.
    """

    arm: str
    says: str
    right: float
    chances: Mapping[str, float]


@dataclass(frozen=True)
class Answered:
    """The truth of a row, as people read it, and what arms say of it."""

    truth: str
    answers: Sequence[Answer]


def picks(view: StudyView) -> list[Pick]:
    """Mistakes first, the surest one first; no row twice; empty where nothing was confirmed."""
    given = _Given(view)
    winner = view.comparison.winner
    if winner is None or winner not in given.means:
        return []
    sure = given.wrong(winner)
    mistakes = [int(row) for row in np.argsort(-sure, kind="stable")[:EACH] if sure[row] > 0]
    spread = np.ptp([given.right(arm) for arm in given.means], axis=0)
    spread = np.where(given.known, spread, 0.0)
    spread[mistakes] = 0.0
    apart = [int(row) for row in np.argsort(-spread, kind="stable")[:EACH] if spread[row] > 0]
    return [
        Pick(row, why, *given.asked(winner, row))
        for why, rows in (("mistake", mistakes), ("disagreement", apart))
        for row in rows
    ]


def answered(view: StudyView, rows: Sequence[int]) -> list[Answered]:
    """What the winner and the arms that it is compared with say of test rows, the winner first."""
    given = _Given(view)
    return [
        Answered(
            given.label(row),
            [
                Answer(
                    arm, given.says(arm, row), float(given.right(arm)[row]), given.chances(arm, row)
                )
                for arm in given.means
            ],
        )
        for row in rows
    ]


class _Given:
    """Mean predictions of the arms that are compared, on the test rows.

    Attributes:
        means: arm -> ``(N, width)``, the mean over seeds.
        decided: the same with each threshold moved to one half.
    """

    def __init__(self, view: StudyView):
        primary = view.task.primary
        self.spec: TargetSpec = view.task.targets[primary]
        truth = view.truth["test"][primary]
        self.known = observed(self.spec, truth)
        self.truth = truth.reshape(len(truth), -1)  # (N, 1), or (N, width) for labels
        runs = {
            arm: [run for run in view.decisions if run.arm == arm and primary in run.test]
            for arm in _compared(view)
        }
        self.means = {
            arm: np.mean([run.test[primary] for run in own], axis=0)
            for arm, own in runs.items()
            if own
        }
        self.decided = {
            arm: np.mean([at_half(run, primary) for run in own], axis=0)
            for arm, own in runs.items()
            if own
        }

    def wrong(self, arm: str) -> np.ndarray:
        """``(N,)`` how sure the arm is of something wrong; 0 where it is right."""
        given = self.decided[arm]
        if self.spec.kind == "regression":
            found = np.abs(given - self.truth)[:, 0]
        elif self.spec.kind == "multiclass":
            said = given.argmax(axis=1)
            found = np.where(said == self.truth[:, 0], 0.0, given.max(axis=1))
        else:
            missed = (given >= HALF) != (self.truth > HALF)
            found = np.where(missed, np.maximum(given, 1 - given), 0.0).max(axis=1)
        return np.where(self.known, found, 0.0)

    def right(self, arm: str) -> np.ndarray:
        """``(N,)`` the probability of the truth, or the number itself."""
        given = self.means[arm]
        if self.spec.kind == "regression":
            return np.asarray(given[:, 0])
        if self.spec.kind == "multiclass":
            true = np.where(self.known, self.truth[:, 0], 0).astype(int)
            return np.asarray(given[np.arange(len(given)), true])
        return np.asarray(np.where(self.truth > HALF, given, 1 - given).min(axis=1))

    def asked(self, arm: str, row: int) -> tuple[int, int]:
        """The output that the arm's answer is about, and its sign."""
        given = self.decided[arm][row]
        if self.spec.kind == "regression":
            return 0, 1
        if self.spec.kind == "multiclass":
            return int(given.argmax()), 1
        sure = np.abs(given - HALF)
        missed = (given >= HALF) != (self.truth[row] > HALF)
        # of labels, the one that is most wrong, where one is
        place = int(np.argmax(sure + missed))
        return place, 1 if given[place] >= HALF else -1

    def label(self, row: int) -> str:
        """The truth of a row, as people read it."""
        truth = self.truth[row]
        if self.spec.kind == "regression":
            return f"{truth[0]:.4g}"
        if self.spec.kind == "multilabel":
            return _names(self.spec, truth > HALF)
        return self.spec.classes[int(truth[0])]

    def says(self, arm: str, row: int) -> str:
        """The arm's decision, as people read it."""
        given = self.decided[arm][row]
        if self.spec.kind == "regression":
            return f"{given[0]:.4g}"
        if self.spec.kind == "multiclass":
            return self.spec.classes[int(given.argmax())]
        if self.spec.kind == "binary":
            return self.spec.classes[int(given[0] >= HALF)]
        return _names(self.spec, given >= HALF)

    def chances(self, arm: str, row: int) -> dict[str, float]:
        """The likeliest classes with their probabilities; none for numbers."""
        given = self.means[arm][row]
        if self.spec.kind == "regression":
            return {}
        if self.spec.kind == "binary":
            given = np.array([1 - given[0], given[0]])
        order = np.argsort(-given, kind="stable")[:TOP]
        return {self.spec.classes[place]: float(given[place]) for place in order.tolist()}


def _compared(view: StudyView) -> list[str]:
    """The winner, the reference and the next best arms."""
    found = view.comparison
    first = [name for name in (found.winner, found.reference) if name]
    rest = [line.arm.name for line in found.standings]
    return list(dict.fromkeys([*first, *rest]))[:ARMS]


def _names(spec: TargetSpec, chosen: Sequence[bool] | np.ndarray) -> str:
    return ", ".join(name for name, yes in zip(spec.classes, chosen, strict=True) if yes) or "none"
