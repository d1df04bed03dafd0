"""Ensemble selection: which models to average, and how often each.

Caruana et al. 2004 (ICML): greedy, with replacement; bagged, so that no model enters by the luck of
a few rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmauto.engine.metrics import METRICS, score
from mmauto.values import TargetSpec

ROUNDS = 25
BAGS = 10
SHARE = 0.5
"""Of the models that each bag may choose from."""

FEW = 4
"""Fewer models than this are not bagged: a bag of one model would choose it."""


def bagged_ensemble(
    predicted: Mapping[str, np.ndarray],
    spec: TargetSpec,
    truth: np.ndarray,
    metric: str,
    seed: int = 0,
    bags: int = BAGS,
) -> dict[str, float]:
    """The mean weights of ensembles that were selected from random halves of the models.

    Args, returns: as of `select_ensemble`.
    """
    names = sorted(predicted)
    if len(names) < FEW:
        return select_ensemble(predicted, spec, truth, metric)
    source = np.random.default_rng(seed)
    size = round(SHARE * len(names))
    total = dict.fromkeys(names, 0.0)
    for _ in range(bags):
        some = source.choice(len(names), size, replace=False)
        chosen = {names[place]: predicted[names[place]] for place in some}
        for name, weight in select_ensemble(chosen, spec, truth, metric).items():
            total[name] += weight / bags
    return {name: weight for name, weight in total.items() if weight > 0}


def select_ensemble(
    predicted: Mapping[str, np.ndarray],
    spec: TargetSpec,
    truth: np.ndarray,
    metric: str,
    rounds: int = ROUNDS,
) -> dict[str, float]:
    """Greedy selection with replacement: each round adds the model that helps the average most.

    Args:
        predicted: model -> ``(N, width)`` on the validation rows.
        truth: their labels, as in `mmauto.engine.metrics.score`.

    Returns:
        Model -> weight, summing to 1; models that were never chosen are left out. Of equally good
        rounds the earliest counts, so a single best model stays alone.
    """
    sign = 1.0 if METRICS[metric].maximise else -1.0

    def value(given: np.ndarray) -> float:
        found = sign * score(metric, spec, truth, given)
        return found if np.isfinite(found) else -np.inf

    names = sorted(predicted)
    total = np.zeros_like(predicted[names[0]])
    chosen: list[str] = []
    best, kept = -np.inf, 1
    for size in range(1, rounds + 1):
        values = [value((total + predicted[name]) / size) for name in names]
        place = int(np.argmax(values))
        chosen.append(names[place])
        total = total + predicted[names[place]]
        if values[place] > best:
            best, kept = values[place], size
    final = chosen[:kept]
    return {name: final.count(name) / kept for name in names if name in final}
