"""The folds of a nested cross-validation as one study: each row with the models that tested it.

Everything that is chosen, hyper-parameters and thresholds included, is chosen inside a fold. Folds
train on each other's rows, so chance goes further than in as many independent rows; intervals
and p values allow for that (`mmauto.answers.overlap`). In 750 simulated studies of five folds, of
150 rows whose labels mean nothing (ridge regression, AUROC), 2.4 % of the verdicts claim a
difference and 0.9 % that fusion helps; without the allowance they were 6.1 and 2.3 %. A gain of 14
points is found in 66 % of 50 studies of 150 rows, one of 13 in 86 % of 50 of 300 rows.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmauto.answers.compare import compare
from mmauto.answers.nested import nested_arms, nested_verdict
from mmauto.answers.overlap import stretch
from mmauto.answers.pooled_runs import as_predicted, joined_runs, quantiles
from mmauto.answers.sums import RANKINGS
from mmauto.engine.metrics import METRICS, score
from mmauto.errors import StoreError
from mmauto.values import TaskView
from mmauto.views import (
    ArmView,
    ConfirmationView,
    Optimism,
    Predictions,
    StudyView,
    TrialView,
)

SPLITS = ("valid", "test")


def pooled(views: Sequence[StudyView]) -> StudyView:
    """The studies of several folds as one, whose test rows are those of all folds.

    Seed s of every fold together form run s of an arm; predictions are bent by each fold's own
    thresholds, so pooled runs have none, and are ranks within the fold (`quantiles`) where the
    metric is a ranking one; what was predicted is in ``predicted`` then. An arm without a result
    in some fold has none here. Each row also validates once, in another fold's study: nothing may
    be chosen on pooled validation rows and estimated on the test rows, since they are the same. So
    the choices that were made in each fold are arms, too (`mmauto.answers.nested`), and there is no
    ensemble.

    Args:
        views: finished folds of one study, in their order.

    Raises:
        StoreError: the folds do not share their data.
    """
    _refuse_mixed(views)
    first, trials, chosen = views[0], _trials(views), nested_arms(views)
    whole = [(arm, [arm.name] * len(views)) for arm in _arms(views)]
    arms = [arm for arm, _ in (*chosen, *whole)]
    truth = {
        split: {
            name: np.concatenate([view.truth[split][name] for view in views])
            for name in first.task.targets
        }
        for split in SPLITS
    }
    groups = {split: _joined([view.groups.get(split) for view in views]) for split in SPLITS}
    plain, fair = (
        [
            replace(run, arm=arm.name)
            for arm, names in (*chosen, *whole)
            for run in joined_runs(views, names, mapped)
        ]
        for mapped in (as_predicted, quantiles)
    )
    ceiling = {who: statistics.fmean(view.ceiling[who] for view in views) for who in first.ceiling}
    ranks = first.task.metric in RANKINGS
    judged, by = fair if ranks else plain, stretch(views)
    found = compare(
        first.task, arms, trials, judged,
        {"test": truth["test"]}, groups, ceiling=ceiling, stretch=by,
    )  # fmt: skip
    standings = tuple(
        replace(line, metrics=_metrics(first.task, truth["test"], line.arm.name, plain, fair))
        for line in found.standings
    )
    ids = {split: np.concatenate([view.ids[split] for view in views]) for split in SPLITS}
    said = nested_verdict(views, found, [arm for arm, _ in chosen], by)
    return replace(
        first,
        config={name: value for name, value in first.config.items() if name != "fold"},
        environment={
            **first.environment,
            "seconds": sum(view.environment.get("seconds", 0.0) for view in views),
        },
        arms=arms,
        trials=trials,
        confirmations=judged,
        predicted=plain if ranks else (),
        truth=truth,
        groups=groups,
        ids=ids,
        rows={"tested once": len(ids["test"])},
        ceiling=ceiling,
        optimism=_optimism(views),
        probes=None,
        examples=None,
        subgroups={
            column: np.concatenate([view.subgroups[column] for view in views])
            for column in first.subgroups
        },
        comparison=replace(found, standings=standings, verdict=said),
    )


def _refuse_mixed(views: Sequence[StudyView]) -> None:
    """A row that changed its fold or label was not tested once."""
    tested = np.concatenate([view.ids["test"] for view in views])
    by_fold = {view.config.get("fold"): view for view in views}
    same = len(np.unique(tested)) == len(tested) and all(v.task == views[0].task for v in views)
    for view in views:
        after = by_fold.get(view.config.get("fold", 0) % max(1, view.config.get("folds", 0)) + 1)
        if same and after is not None and after is not view:
            same = all(
                np.array_equal(one, after.truth["test"][name], equal_nan=one.dtype.kind == "f")
                for name, one in view.truth["valid"].items()
            )
    if not same:
        raise StoreError(
            "the folds of a study are dealt once from the same rows, those of "
            f"{views[0].config.get('data') or views[0].task.name} differ: the data has changed "
            "between them; run the study again under another --name"
        )


def _arms(views: Sequence[StudyView]) -> list[ArmView]:
    """Those of any fold, with importances averaged."""
    found: dict[str, list[ArmView]] = {}
    for view in views:
        for arm in view.arms:
            found.setdefault(arm.name, []).append(arm)
    return [
        replace(
            same[0],
            importances={
                name: statistics.fmean(arm.importances.get(name, 0.0) for arm in same)
                for name in same[0].importances
            },
            parked=any(arm.parked for arm in same),
        )
        for same in found.values()
    ]


def _trials(views: Sequence[StudyView]) -> list[TrialView]:
    """Those of all folds one after another, numbered anew."""
    found: list[TrialView] = []
    seen: Counter[str] = Counter()
    for view in views:
        start = _first_id(found)
        for trial in view.trials:
            found.append(replace(trial, id=start + trial.id, index=seen[trial.arm]))
            seen[trial.arm] += 1
    return found


def _first_id(trials: Sequence[TrialView]) -> int:
    return 1 + max((trial.id for trial in trials), default=-1)


def _metrics(
    task: TaskView,
    truth: Predictions,
    arm: str,
    plain: Sequence[ConfirmationView],
    fair: Sequence[ConfirmationView],
) -> dict[str, dict[str, float]]:
    """target -> metric -> mean over seeds: rankings by `quantiles`, all others as predicted."""
    found: dict[str, dict[str, float]] = {}
    for target, spec in task.targets.items():
        found[target] = {}
        for name, metric in METRICS.items():
            if spec.kind in metric.kinds:
                runs = [run for run in (fair if name in RANKINGS else plain) if run.arm == arm]
                found[target][name] = statistics.fmean(
                    score(name, spec, truth[target], run.test[target]) for run in runs
                )
    return found


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _optimism(views: Sequence[StudyView]) -> dict[str, Optimism]:
    """Means over the folds, of arms that have one in each."""
    names = set.intersection(*(set(view.optimism) for view in views))
    found = {name: [view.optimism[name] for view in views] for name in sorted(names)}
    return {
        name: Optimism(
            round(statistics.fmean(one.chosen_from for one in each)),
            statistics.fmean(one.best for one in each),
            statistics.fmean(one.corrected for one in each),
        )
        for name, each in found.items()
    }
