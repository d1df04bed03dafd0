"""Probabilities as they are, and as one number per run would right them.

The temperature divides the logits (Guo et al. 2017, ICML). It is fitted on the validation rows of
each run, never on the test rows that judge it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmauto.answers.calibration import TINY, Agreement, agreement, log_losses
from mmauto.answers.judged import Judged, bounds
from mmauto.answers.sums import both_columns
from mmauto.engine.metrics import observed
from mmauto.values import Kind
from mmauto.views import ConfirmationView, Interval, StudyView

COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Reliability:
    """One arm's probabilities as they are, and divided by their temperature.

    Attributes:
        temperature: geometric mean over runs, above 1 where logits are too large.
        scaled: None, as the two others, where there is no labelled validation row to fit it on.
        gained: log loss that scaling saves.
    """

    arm: str
    raw: Agreement
    temperature: float | None = None
    scaled: Agreement | None = None
    gained: Interval | None = None


def reliability(view: StudyView) -> list[Reliability]:
    """Of the winner, then of the best single modality.

    None for a number, nor for pooled folds where a threshold bent the probabilities of each.
    """
    judged = Judged(view)
    bent = judged.folded and judged.spec.kind != "multiclass"
    if bent or judged.spec.kind == "regression":
        return []
    return [_reliability(judged, arm) for arm in judged.arms]


def _reliability(judged: Judged, arm: str) -> Reliability:
    runs = judged.predicted(arm)
    given = [judged.given(run) for run in runs]
    decided = [judged.decided(run) for run in runs]
    raw, losses = agreement(judged, given, decided)
    fitted = [_fitted(judged, run) for run in runs]
    if None in fitted:
        return Reliability(arm, raw)
    heat = [one for one in fitted if one is not None]
    cooled = [
        tempered(judged.spec.kind, g, t) for g, t in zip(given, heat, strict=True)
    ]  # fmt: skip
    scaled, after = agreement(judged, cooled, decided)
    saved = bounds(judged.mean(losses) - judged.mean(after))
    return Reliability(arm, raw, float(np.exp(np.log(heat).mean())), scaled, saved)


def tempered(kind: Kind, given: np.ndarray, temperature: float) -> np.ndarray:
    """``(N, width)`` probabilities as if their logits had been divided by ``temperature``."""
    from scipy.special import expit, logit, softmax

    if kind == "multilabel":
        return np.asarray(expit(logit(np.clip(given, TINY, 1 - TINY)) / temperature))
    return np.asarray(softmax(np.log(np.clip(given, TINY, 1.0)) / temperature, axis=1))


def fit_temperature(kind: Kind, truth: np.ndarray, given: np.ndarray) -> float:
    """The temperature that makes the truth likeliest, between 0.05 and 20 (Guo et al. 2017).

    Args:
        truth: ``(N,)`` class indices, or ``(N, width)`` 0/1; all observed.
        given: ``(N, width)`` probabilities; of a binary target both columns.
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return float(log_losses(truth, tempered(kind, given, np.exp(exponent))).mean())

    ends = (np.log(COLDEST), np.log(HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded").x))


def _fitted(judged: Judged, run: ConfirmationView) -> float | None:
    spec = judged.spec
    truth = judged.view.truth.get("valid", {}).get(spec.name)
    if truth is None or spec.name not in run.valid or judged.folded:
        return None
    known = observed(spec, truth)
    given = both_columns(spec, run.valid[spec.name][known].astype(float))
    return fit_temperature(spec.kind, truth[known], given) if known.any() else None
