"""The confirmed arms averaged: a contender that costs no training.

Its weights are selected on validation, so its validation score would flatter it. It is cross-fitted
instead: weights from one half of the rows, scored on the other half, and the other way round.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from mmauto.answers.ensemble import bagged_ensemble
from mmauto.answers.statistics import Resampled, Scored
from mmauto.engine.metrics import observed, score
from mmauto.engine.thresholds import centred, choose_thresholds
from mmauto.values import TargetSpec
from mmauto.views import ArmView, ConfirmationView, Costs, Interval, Standing

NAME = "ensemble"
MOST_STACKED = 5_000
"""Rows, those of all seeds counted, from which weights are selected."""

Runs = Mapping[str, Sequence[ConfirmationView]]


def averaged(
    runs: Runs, spec: TargetSpec, truth: np.ndarray, metric: str, shared: Resampled
) -> tuple[dict[str, float], float, dict[int, Scored]] | None:
    """Weights, the cross-fitted validation metric, and seed -> score on the test rows.

    Args:
        runs: arm -> its confirmation runs; seeds that not every arm has are left out.
        truth: labels of the validation rows.
        shared: the test rows.

    Returns:
        None where fewer than two arms have a seed in common.
    """
    seeds = sorted(set.intersection(*({run.seed for run in own} for own in runs.values())))
    if len(runs) < 2 or not seeds:
        return None
    known = observed(spec, truth)
    by_seed = {
        name: {run.seed: run for run in own if run.seed in seeds} for name, own in runs.items()
    }
    valid = {  # (S, N, width)
        name: np.stack([own[seed].valid[spec.name][known] for seed in seeds])
        for name, own in by_seed.items()
    }
    right = truth[known]
    weights = _weights(valid, spec, right, metric)
    whole = {n: np.mean([own[s].valid[spec.name] for s in seeds], 0) for n, own in by_seed.items()}
    cut = choose_thresholds(metric, spec, truth, _mixed(whole, weights))
    scores = {}
    for seed in seeds:
        given = {name: own[seed].test[spec.name] for name, own in by_seed.items()}
        scores[seed] = shared.score(centred(_mixed(given, weights), cut))
    return weights, _cross_fitted(valid, spec, right, metric), scores


def standing(
    weights: Mapping[str, float],
    validation: float,
    test: Interval,
    difference: Interval | None,
    members: Mapping[str, Standing],
) -> Standing:
    """The line of the ensemble; using it costs as much as using all of its members."""
    parts = [members[name].costs for name in weights]
    return Standing(
        arm=ArmView(NAME, "ensemble", NAME, "ensemble", f"weighted mean of {made_of(weights)}"),
        rank=0,
        validation=validation,
        test=test,
        difference=difference,
        metrics={},
        costs=Costs(
            sum(part.train_seconds for part in parts),
            sum(part.parameters for part in parts),
            max(part.frozen_parameters for part in parts),
            max(part.peak_memory for part in parts),
            sum(part.latency_1 for part in parts),
            sum(part.latency_64 for part in parts),
        ),
        seeds=min(members[name].seeds for name in weights),
        trials=0,
        failed=0,
    )


def made_of(weights: Mapping[str, float]) -> str:
    """The members, the heaviest first: ``60% a, 40% b``."""
    falling = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{weight:.0%} {name}" for name, weight in falling)


def _weights(
    valid: Mapping[str, np.ndarray], spec: TargetSpec, truth: np.ndarray, metric: str
) -> dict[str, float]:
    """Selected on the rows of all seeds, one after another."""
    count, rows = next(iter(valid.values())).shape[:2]
    some = np.linspace(0, rows - 1, min(rows, max(1, MOST_STACKED // count))).astype(int)
    stacked = {name: given[:, some].reshape(-1, given.shape[-1]) for name, given in valid.items()}
    return bagged_ensemble(stacked, spec, np.concatenate([truth[some]] * count), metric)


def _cross_fitted(
    valid: Mapping[str, np.ndarray], spec: TargetSpec, truth: np.ndarray, metric: str
) -> float:
    order = np.random.default_rng(0).permutation(len(truth))
    halves = np.sort(order[::2]), np.sort(order[1::2])
    found = np.zeros_like(next(iter(valid.values())))
    for own, other in (halves, halves[::-1]):
        given = {name: values[:, own] for name, values in valid.items()}
        weights = _weights(given, spec, truth[own], metric)
        found[:, other] = _mixed(
            {name: values[:, other] for name, values in valid.items()}, weights
        )
    return statistics.fmean(score(metric, spec, truth, one) for one in found)


def _mixed(given: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    return np.asarray(np.sum([weight * given[name] for name, weight in weights.items()], axis=0))
