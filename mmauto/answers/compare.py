"""The comparison: chosen on validation, estimated on test; everything else shows this object."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmauto.answers.statistics import Resampled, Scored
from mmauto.answers.verdict import verdict
from mmauto.engine.metrics import METRICS, observed, score_all
from mmauto.engine.thresholds import centred
from mmauto.values import TaskView
from mmauto.views import (
    ArmView,
    Comparison,
    ConfirmationView,
    Costs,
    Interval,
    Predictions,
    Standing,
    TrialView,
)


@dataclass(frozen=True)
class _Runs:
    """The confirmation runs of one arm, by seed, and their scores on the test split."""

    arm: ArmView
    runs: Sequence[ConfirmationView]
    validation: float
    scores: Mapping[int, Scored]


def compare(
    task: TaskView,
    arms: Sequence[ArmView],
    trials: Sequence[TrialView],
    confirmations: Sequence[ConfirmationView],
    truth: Mapping[str, Predictions],
    groups: Mapping[str, np.ndarray | None],
    *,
    ceiling: Mapping[str, float],
) -> Comparison:
    """Compare the confirmed arms on the primary target.

    The winner, and the single modality that it is held against, are chosen by the mean validation
    metric over seeds; the test split only estimates. "The best of the test scores" would be biased
    upward by points.
    """
    maximise = METRICS[task.metric].maximise
    spec, right = task.targets[task.primary], truth["test"][task.primary]
    shared = Resampled(task.metric, spec, right, groups.get("test"))
    every = [_runs(arm, confirmations, shared, task.primary) for arm in arms]
    confirmed = [found for found in every if found is not None]
    confirmed.sort(key=lambda found: -found.validation if maximise else found.validation)
    single, fusion, control = (
        next((found for found in confirmed if found.arm.kind == kind), None)
        for kind in ("single", "fusion", "control")
    )
    standings = tuple(
        _standing(task, found, rank, shared, _gain(shared, found, single), trials, truth["test"])
        for rank, found in enumerate(confirmed, start=1)
    )
    plain = Comparison(
        metric=task.metric,
        target=task.primary,
        maximise=maximise,
        standings=standings,
        winner=confirmed[0].arm.name if confirmed else None,
        reference=single.arm.name if single else None,
        verdict=(),
    )
    missing = [arm.name for arm in arms if arm.name not in {s.arm.name for s in standings}]
    over_control = _gain(shared, fusion, control)
    rows = int(observed(spec, right).sum())
    return replace(plain, verdict=verdict(plain, task, ceiling, over_control, missing, rows))


def _runs(
    arm: ArmView, confirmations: Sequence[ConfirmationView], shared: Resampled, target: str
) -> _Runs | None:
    runs = sorted(
        (run for run in confirmations if run.arm == arm.name and run.failure is None),
        key=lambda run: run.seed,
    )
    values = [run.value for run in runs if run.value is not None]
    if not values:
        return None
    scores = {
        run.seed: shared.score(centred(run.test[target], run.thresholds.get(target)))
        for run in runs
    }
    return _Runs(arm, runs, statistics.fmean(values), scores)


def _gain(shared: Resampled, ours: _Runs | None, theirs: _Runs | None) -> Interval | None:
    """The paired gain over the seeds of both sides, so that a pair differs in the arm alone."""
    if ours is None or theirs is None or ours.arm.name == theirs.arm.name:
        return None
    seeds = [seed for seed in ours.scores if seed in theirs.scores]
    if not seeds:
        return None
    return shared.gain([ours.scores[s] for s in seeds], [theirs.scores[s] for s in seeds])


def _standing(
    task: TaskView,
    found: _Runs,
    rank: int,
    shared: Resampled,
    difference: Interval | None,
    trials: Sequence[TrialView],
    truth: Predictions,
) -> Standing:
    own = [trial for trial in trials if trial.arm == found.arm.name]
    return Standing(
        arm=found.arm,
        rank=rank,
        validation=found.validation,
        test=shared.mean(list(found.scores.values())),
        difference=difference,
        metrics=_metrics(task, found.runs, truth),
        costs=_costs([run.costs for run in found.runs]),
        seeds=len(found.runs),
        trials=sum(trial.state in ("complete", "pruned") for trial in own),
        failed=sum(trial.state == "failed" for trial in own),
    )


def _metrics(
    task: TaskView, runs: Sequence[ConfirmationView], truth: Predictions
) -> dict[str, dict[str, float]]:
    """target -> metric -> mean over seeds, on the test split."""
    found = {}
    for name, spec in task.targets.items():
        each = [
            score_all(spec, truth[name], centred(run.test[name], run.thresholds.get(name)))
            for run in runs
            if name in run.test
        ]
        found[name] = (
            {metric: float(np.mean([one[metric] for one in each])) for metric in each[0]}
            if each
            else {}
        )
    return found


def _costs(each: Sequence[Costs]) -> Costs:
    """The median run; figures that only one run measured are that run's."""

    def middle(values: Sequence[float]) -> float:
        measured = [value for value in values if value]
        return statistics.median(measured) if measured else 0.0

    return Costs(
        train_seconds=middle([costs.train_seconds for costs in each]),
        parameters=round(middle([costs.parameters for costs in each])),
        frozen_parameters=max(costs.frozen_parameters for costs in each),
        peak_memory=max(costs.peak_memory for costs in each),
        latency_1=middle([costs.latency_1 for costs in each]),
        latency_64=middle([costs.latency_64 for costs in each]),
    )


def leaderboard_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One flat mapping an arm: what terminal, CSV, JSON, data frame and report show alike."""
    return [
        {
            "rank": line.rank,
            "arm": line.arm.name,
            "kind": line.arm.kind,
            "stage": line.arm.stage,
            "validation": line.validation,
            "test": line.test.value,
            "test_low": line.test.low,
            "test_high": line.test.high,
            "difference": line.difference.value if line.difference else None,
            "difference_low": line.difference.low if line.difference else None,
            "difference_high": line.difference.high if line.difference else None,
            "train_seconds": line.costs.train_seconds,
            "parameters": line.costs.parameters,
            "frozen_parameters": line.costs.frozen_parameters,
            "peak_memory": line.costs.peak_memory,
            "latency_1_ms": line.costs.latency_1,
            "latency_64_ms": line.costs.latency_64,
            "seeds": line.seeds,
            "trials": line.trials,
            "failed": line.failed,
        }
        for line in comparison.standings
    ]
