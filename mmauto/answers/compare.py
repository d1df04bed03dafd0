"""The comparison: chosen on validation, estimated on test; everything else shows this object."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmauto.answers.contender import averaged, standing
from mmauto.answers.permutation import SwapTest, holm
from mmauto.answers.statistics import Resampled, Scored
from mmauto.answers.verdict import verdict
from mmauto.engine.metrics import METRICS, observed, score_all
from mmauto.engine.thresholds import at_half
from mmauto.values import TaskView
from mmauto.views import (
    ArmView,
    Averaged,
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
    stretch: float = 1.0,
) -> Comparison:
    """Compare the confirmed arms on the primary target.

    The winner, and the single modality that it is held against, are chosen by the mean validation
    metric over seeds; the test split only estimates. "The best of the test scores" would be biased
    upward by points.

    Args:
        stretch: as of `mmauto.answers.statistics.Resampled`.
    """
    maximise = METRICS[task.metric].maximise
    spec, right = task.targets[task.primary], truth["test"][task.primary]
    shared = Resampled(task.metric, spec, right, groups.get("test"), stretch=stretch)
    every = [_runs(arm, confirmations, shared, task.primary) for arm in arms]
    confirmed = [found for found in every if found is not None]
    confirmed.sort(key=lambda found: -found.validation if maximise else found.validation)
    single, fusion, control = (
        next((found for found in confirmed if found.arm.kind == kind), None)
        for kind in ("single", "fusion", "control")
    )
    swaps = SwapTest(task.metric, spec, right, groups.get("test"), stretch=stretch)
    tests = _p_values(swaps, task.primary, confirmed, single)
    corrected = holm({n: p for n, p in tests.items() if n in _names(confirmed, "fusion")})
    standings = tuple(
        replace(
            _standing(
                task, found, rank, shared, _gain(shared, found, single), trials, truth["test"]
            ),
            p=tests.get(found.arm.name, math.nan),
            p_holm=corrected.get(found.arm.name, math.nan),
        )
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
        ensemble=_ensemble(
            task, truth.get("valid", {}).get(task.primary), shared, confirmed, single, standings
        ),
    )
    ranked = {line.arm.name for line in standings}
    missing = [_without(arm.name, trials) for arm in arms if arm.name not in ranked]
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
    scores = {run.seed: shared.score(at_half(run, target)) for run in runs}
    return _Runs(arm, runs, statistics.fmean(values), scores)


def _gain(shared: Resampled, ours: _Runs | None, theirs: _Runs | None) -> Interval | None:
    """The paired gain over the seeds of both sides, so that a pair differs in the arm alone."""
    seeds = _common(ours, theirs)
    if ours is None or theirs is None or not seeds:
        return None
    return shared.gain([ours.scores[s] for s in seeds], [theirs.scores[s] for s in seeds])


def _without(name: str, trials: Sequence[TrialView]) -> str:
    """An arm without a result, and why where its trials tell."""
    states = {trial.state for trial in trials if trial.arm == name}
    return f"{name} (every trial failed)" if states == {"failed"} else name


def _common(ours: _Runs | None, theirs: _Runs | None) -> list[int]:
    """Seeds of both; none where they are the same arm."""
    if ours is None or theirs is None or ours.arm.name == theirs.arm.name:
        return []
    return [seed for seed in ours.scores if seed in theirs.scores]


def _names(confirmed: Sequence[_Runs], kind: str) -> set[str]:
    return {found.arm.name for found in confirmed if found.arm.kind == kind}


def _p_values(
    test: SwapTest, target: str, confirmed: Sequence[_Runs], single: _Runs | None
) -> dict[str, float]:
    """Of each arm's difference to the reference."""
    pairs = {}
    for found in confirmed:
        seeds = _common(found, single)
        if single is not None and seeds:
            ours, theirs = ({run.seed: run for run in one.runs} for one in (found, single))
            pairs[found.arm.name] = (
                [at_half(ours[seed], target) for seed in seeds],
                [at_half(theirs[seed], target) for seed in seeds],
            )
    return test.p_values(pairs) if test.total else {}


def _ensemble(
    task: TaskView,
    truth: np.ndarray | None,
    shared: Resampled,
    confirmed: Sequence[_Runs],
    single: _Runs | None,
    standings: Sequence[Standing],
) -> Averaged | None:
    runs = {found.arm.name: found.runs for found in confirmed if all(r.valid for r in found.runs)}
    if truth is None or len(runs) < 2:
        return None
    found = averaged(runs, task.targets[task.primary], truth, task.metric, shared)
    if found is None:
        return None
    weights, validation, scores = found

    def over(other: _Runs) -> Interval:
        return shared.gain(list(scores.values()), [other.scores[seed] for seed in scores])

    gain = None if single is None else over(single)
    members = {line.arm.name: line for line in standings}
    line = standing(weights, validation, shared.mean(list(scores.values())), gain, members)
    return Averaged(weights, line, over(confirmed[0]))


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
            score_all(spec, truth[name], at_half(run, name)) for run in runs if name in run.test
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
    """One flat mapping a line: what terminal, CSV, JSON, data frame and report show alike."""
    return [
        {
            "rank": line.rank or None,
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
            "p": line.p,
            "p_holm": line.p_holm,
            "train_seconds": line.costs.train_seconds,
            "parameters": line.costs.parameters or None,  # 0: does not apply, or not measured
            "frozen_parameters": line.costs.frozen_parameters or None,
            "peak_memory": line.costs.peak_memory or None,
            "latency_1_ms": line.costs.latency_1 or None,
            "latency_64_ms": line.costs.latency_64 or None,
            "seeds": line.seeds,
            "trials": line.trials,
            "failed": line.failed,
        }
        for line in comparison.lines
    ]
