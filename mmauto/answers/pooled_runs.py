"""Runs of several folds put together: seed s of each fold becomes run s of the whole."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeAlias

import numpy as np

from mmauto.engine.thresholds import centred
from mmauto.views import ConfirmationView, Costs, Predictions, StudyView

Mapped: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""What becomes of one fold's ``(N, width)`` predictions before they are pooled."""


def as_predicted(given: np.ndarray) -> np.ndarray:
    """Predictions as they are."""
    return given


def quantiles(given: np.ndarray) -> np.ndarray:
    """``(N, width)`` predictions -> the share of the rows that each one exceeds, by column.

    Scores of different models have no common scale: pooled as they are, a model that is merely
    bolder would push the rows of its fold up the ranking. Ranks within the fold are comparable, as
    folds are alike in their classes (Forman and Scholz 2010, Apples-to-apples in cross-validation
    studies, SIGKDD Explorations 12).
    """
    from scipy.stats import rankdata

    return np.asarray((rankdata(given, axis=0) - 0.5) / max(1, len(given)))


def joined_runs(
    views: Sequence[StudyView], arms: Sequence[str], mapped: Mapped = as_predicted
) -> list[ConfirmationView]:
    """A run for each seed that every fold has.

    Args:
        views: the folds.
        arms: which one of each fold.
        mapped: applied within each fold, to predictions bent by the fold's thresholds.
    """
    own = [
        {run.seed: run for run in view.confirmations if run.arm == arm and run.test}
        for view, arm in zip(views, arms, strict=True)
    ]
    seeds = set.intersection(*(set(runs) for runs in own))
    return [_run([runs[seed] for runs in own], mapped) for seed in sorted(seeds)]


def _run(parts: Sequence[ConfirmationView], mapped: Mapped) -> ConfirmationView:
    """Parameters are those that all folds chose alike; the trial is that of the first fold."""
    first = parts[0]
    values = [part.value for part in parts if part.value is not None]

    def joined(split: str) -> Predictions:
        given = [getattr(part, split) for part in parts]
        return {
            name: np.concatenate(
                [
                    mapped(centred(one[name], part.thresholds.get(name)))
                    for one, part in zip(given, parts, strict=True)
                ]
            )
            for name in given[0]
        }

    return replace(
        first,
        params={
            name: value
            for name, value in first.params.items()
            if all(part.params.get(name) == value for part in parts)
        },
        value=statistics.fmean(values) if values else None,
        curve=(),
        valid=joined("valid"),
        test=joined("test"),
        costs=_costs([part.costs for part in parts]),
        thresholds={},
    )


def _costs(each: Sequence[Costs]) -> Costs:
    names = [field.name for field in fields(Costs)]
    middle = {name: statistics.median(getattr(one, name) for one in each) for name in names}
    whole = ("parameters", "frozen_parameters", "peak_memory")
    return Costs(**{name: round(v) if name in whole else v for name, v in middle.items()})
