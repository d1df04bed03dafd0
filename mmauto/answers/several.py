"""Several studies of the same test rows as one: their arms in one leaderboard, winners paired."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmauto.answers.compare import compare
from mmauto.answers.overlap import stretch_of
from mmauto.answers.permutation import SwapTest, holm
from mmauto.answers.statistics import Resampled
from mmauto.engine.thresholds import at_half
from mmauto.errors import ConfigError
from mmauto.views import ConfirmationView, Interval, Predictions, StudyView


@dataclass(frozen=True)
class Duel:
    """The winners of two studies on the same rows.

    Attributes:
        ours, theirs: as ``STUDY/ARM``.
        gain: how much better ours is, paired; None where they have no seed in common.
        p: of the gain, by swapping predictions row by row; NaN where there is no gain.
        p_holm: the same, allowing for the number of pairs.
    """

    ours: str
    theirs: str
    gain: Interval | None
    p: float
    p_holm: float


def same_rows(one: StudyView, other: StudyView) -> bool:
    """Whether both predict the same target of the same test rows, in whatever order."""
    name = one.task.primary
    if name != other.task.primary or one.task.targets[name] != other.task.targets[name]:
        return False
    order = _order(other.ids["test"], one.ids["test"])
    if order is None:
        return False
    ours, theirs = one.truth["test"][name], other.truth["test"][name][order]
    return np.array_equal(ours, theirs, equal_nan=True)


def on_same_rows(views: Sequence[StudyView]) -> bool:
    """Whether the studies can stand in one leaderboard.

    Raises:
        ConfigError: a study has nothing confirmed, or they share rows but no metric.
    """
    for view in views:
        if not view.comparison.standings:
            raise ConfigError(
                f"studies are compared by their confirmed arms, {view.name} has none yet; continue "
                "it with `mmauto search --resume`, or leave it out"
            )
    first, *rest = views
    if not all(same_rows(first, view) for view in rest):
        return False
    odd = next((view for view in rest if view.task.metric != first.task.metric), None)
    if odd is not None:
        raise ConfigError(
            f"studies of the same rows are compared by one metric, {first.name} chose by "
            f"{first.task.metric} and {odd.name} by {odd.task.metric}; search again with "
            f"--metric {first.task.metric}"
        )
    return True


def merged(views: Sequence[StudyView]) -> StudyView:
    """The studies as one whose arms are called ``STUDY/ARM``, compared anew on the test rows.

    Args:
        views: for which `on_same_rows` is true; labels, groups and ceiling are the first one's.
    """
    first = views[0]
    arms = [replace(arm, name=_full(v, arm.name)) for v in views for arm in v.arms]
    trials = [replace(trial, arm=_full(v, trial.arm)) for v in views for trial in v.trials]
    confirmations = [run for view in views for run in _aligned(view, first.ids["test"])]
    task = replace(
        first.task,
        modalities={k: kind for v in views for k, kind in v.task.modalities.items()},
        simulated=any(view.task.simulated for view in views),
    )
    # without the labels of validation there is no ensemble: its parts would be of several studies
    truth, groups = {"test": first.truth["test"]}, {"test": first.groups.get("test")}
    by = max(map(stretch_of, views))
    found = compare(
        task, arms, trials, confirmations, truth, groups, ceiling=first.ceiling, stretch=by
    )
    # of pooled folds, some metrics are of ranks and others of what was predicted
    metrics = {_full(v, s.arm.name): s.metrics for v in views for s in v.comparison.standings}
    standings = tuple(replace(s, metrics=metrics[s.arm.name]) for s in found.standings)
    return StudyView(
        name=", ".join(view.name for view in views),
        task=task,
        config={},
        command="",
        environment={},
        arms=arms,
        trials=trials,
        confirmations=confirmations,
        truth=truth,
        groups=groups,
        ids={"test": first.ids["test"]},
        rows={"test": len(first.ids["test"])},
        ceiling=first.ceiling,
        findings=(),
        comparison=replace(found, standings=standings),
    )


def duels(views: Sequence[StudyView], whole: StudyView) -> list[Duel]:
    """Each study's winner against each other's, paired by row and by seed.

    Args:
        whole: what `merged` made of the views.
    """
    task, target = whole.task, whole.task.primary
    spec, right = task.targets[target], whole.truth["test"][target]
    by = max(map(stretch_of, views))
    shared = Resampled(task.metric, spec, right, whole.groups["test"], stretch=by)
    winners = [_full(view, str(view.comparison.winner)) for view in views]
    runs = {name: _decided(whole, name) for name in winners}
    contests = list(itertools.combinations(winners, 2))
    pairs: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    gains: dict[str, Interval] = {}
    for place, (ours, theirs) in enumerate(contests):
        seeds = [seed for seed in runs[ours] if seed in runs[theirs]]
        if seeds:
            one, two = ([runs[side][seed] for seed in seeds] for side in (ours, theirs))
            pairs[str(place)] = one, two
            gains[str(place)] = shared.gain(
                [shared.score(run) for run in one], [shared.score(run) for run in two]
            )
    test = SwapTest(task.metric, spec, right, whole.groups["test"], stretch=by)
    p = test.p_values(pairs) if test.total else {}
    corrected = holm(p)
    return [
        Duel(*contest, gains.get(key), p.get(key, math.nan), corrected.get(key, math.nan))
        for place, contest in enumerate(contests)
        for key in [str(place)]
    ]


def settings(views: Sequence[StudyView]) -> list[tuple[str, list[Any]]]:
    """The settings in which the studies differ: name, and each study's value (None: unset)."""
    names = sorted({name for view in views for name in view.config})
    found = [(name, [view.config.get(name) for view in views]) for name in names]
    return [(name, values) for name, values in found if any(v != values[0] for v in values)]


def _full(view: StudyView, arm: str) -> str:
    return f"{view.name}/{arm}"


def _decided(view: StudyView, arm: str) -> Mapping[int, np.ndarray]:
    """Seed -> test predictions with the threshold that validation suggests at 0.5."""
    target = view.task.primary
    return {
        run.seed: at_half(run, target)
        for run in view.confirmations
        if run.arm == arm and run.failure is None and run.value is not None
    }


def _aligned(view: StudyView, ids: np.ndarray) -> list[ConfirmationView]:
    """The confirmation runs under their full names, test rows in the order of ``ids``."""
    order = _order(view.ids["test"], ids)
    assert order is not None
    found = []
    for run in view.confirmations:
        test: Predictions = {name: given[order] for name, given in run.test.items()}
        found.append(replace(run, arm=_full(view, run.arm), valid={}, test=test))
    return found


def _order(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Places in ``ids`` that give ``wanted``; None where they are not the same rows."""
    if len(ids) != len(wanted):
        return None
    if np.array_equal(ids, wanted):
        return np.arange(len(ids))
    names = np.asarray(ids).astype(str), np.asarray(wanted).astype(str)
    places = {name: place for place, name in enumerate(names[0].tolist())}
    if len(places) < len(ids) or places.keys() != set(names[1].tolist()):
        return None
    return np.array([places[name] for name in names[1].tolist()], dtype=int)
