"""How far chance goes where the models of several folds trained on each other's rows.

Two rows that are alike by accident count once where the one teaches the model that predicts the
other, and once the other way round. Resampled or swapped rows take that for two events. Where
labels mean nothing, the sum of all such pairs is a degenerate U-statistic (Hoeffding 1948; Fuchs,
Hornung, De Bin and Boulesteix 2013, Statistica Neerlandica 67), and its variance is ``1 + r`` times
that of independent pairs, if a share ``r`` of them counts both ways: of five folds, one of which
validates, two thirds. This is the covariance between folds that the predictions alone cannot show
(Bengio and Grandvalet 2004, JMLR 5). The ratio of test to training rows, by which Nadeau and Bengio
(2003, Machine Learning 52) correct, widens more and would hide more gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mmauto.answers.permutation import holm
from mmauto.answers.statistics import Resampled, possible
from mmauto.answers.verdict import verdict
from mmauto.engine.metrics import METRICS, observed
from mmauto.engine.thresholds import at_half
from mmauto.views import Comparison, Interval, StudyView


def stretch(views: Sequence[StudyView]) -> float:
    """By how much deviations of pooled folds exceed those of as many independent rows.

    Fold ``k`` is tested by models that trained on all but itself and the next one.
    """
    folds = int(views[0].config.get("folds", 0)) or len(views)
    tested = [view.config.get("fold") or place for place, view in enumerate(views, 1)]
    return _stretch(folds, tested)


def _stretch(folds: int, tested: Sequence[int]) -> float:
    pairs = {(own, other) for own in tested for other in tested if (other - own) % folds > 1}
    taught = len(tested) * max(1, folds - 2)  # by rows of folds that are not tested yet, too
    return math.sqrt(1 + sum((other, own) in pairs for own, other in pairs) / taught)


def stretch_of(study: StudyView) -> float:
    """The same for a study that may pool folds, all of them taken as tested; else 1."""
    folds = int(study.config.get("folds", 0))
    if folds < 2 or study.config.get("fold"):
        return 1.0
    return _stretch(folds, range(1, folds + 1))


def judged_wider(study: StudyView, by: float) -> Comparison:
    """The comparison of a study of pooled folds, and its verdict, with wider intervals.

    A p value becomes that of a normal deviate which is so much smaller.

    Args:
        study: its differences are those of independent rows.
        by: how many times as large deviations are; see `stretch`.
    """
    if by == 1:
        return study.comparison
    maximise = METRICS[study.comparison.metric].maximise
    scored = [
        replace(line, test=possible(wider(line.test, by), maximise))
        for line in study.comparison.standings
    ]
    lines = [
        line
        if line.difference is None
        else replace(line, difference=wider(line.difference, by), p=less_sure(line.p, by))
        for line in scored
    ]
    corrected = holm({line.arm.name: line.p for line in lines if line.arm.kind == "fusion"})
    found = replace(
        study.comparison,
        standings=tuple(
            replace(line, p_holm=corrected.get(line.arm.name, math.nan)) for line in lines
        ),
    )
    rows = int(observed(study.task.targets[found.target], study.truth["test"][found.target]).sum())
    control = _over_control(study)
    wide = None if control is None else wider(control, by)
    said = verdict(found, study.task, study.ceiling, wide, _missing(study), rows)
    return replace(found, verdict=said)


def _over_control(study: StudyView) -> Interval | None:
    """The paired gain of the best fusion over the best control; None where one is not there."""
    found, target = study.comparison, study.comparison.target
    ours, theirs = (
        next((line.arm.name for line in found.standings if line.arm.kind == kind), None)
        for kind in ("fusion", "control")
    )
    own, other = (
        {run.seed: run for run in study.confirmations if run.arm == arm} for arm in (ours, theirs)
    )
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return None
    spec, truth = study.task.targets[target], study.truth["test"][target]
    shared = Resampled(found.metric, spec, truth, study.groups["test"])
    scores = [[shared.score(at_half(runs[s], target)) for s in seeds] for runs in (own, other)]
    return shared.gain(*scores)


def _missing(study: StudyView) -> list[str]:
    """Arms without a result, and why where their trials tell."""
    ranked = {line.arm.name for line in study.comparison.standings}
    states: dict[str, set[str]] = {arm.name: set() for arm in study.arms}
    for trial in study.trials:
        states.setdefault(trial.arm, set()).add(trial.state)
    return [
        f"{arm.name} (every trial failed)" if states[arm.name] == {"failed"} else arm.name
        for arm in study.arms
        if arm.name not in ranked
    ]


def wider(found: Interval, by: float) -> Interval:
    """The interval with ends that are so many times as far away."""
    low, high = (found.value + by * (end - found.value) for end in (found.low, found.high))
    return Interval(found.value, low, high)


def less_sure(p: float, by: float) -> float:
    """The two-sided p value of a normal deviate that is so many times smaller."""
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(p / 2) / by))
