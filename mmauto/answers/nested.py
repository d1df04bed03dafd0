"""What a nested cross-validation says beside the comparison of its arms.

The arm that validates best over all folds was chosen with rows that are also tested, if by other
models. Strictly nested is a choice within each fold, on its own validation rows: whatever is best
there is tested (Cawley and Talbot 2010, On over-fitting in model selection, JMLR 11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmauto.answers.pooled_runs import as_predicted, joined_runs, quantiles
from mmauto.answers.statistics import Resampled, Scored
from mmauto.answers.sums import RANKINGS
from mmauto.engine.metrics import METRICS
from mmauto.views import Comparison, Interval, Predictions, StudyView

LEADING = 2
"""Sentences of the comparison that stay in front."""


def nested_verdict(
    views: Sequence[StudyView],
    found: Comparison,
    truth: Mapping[str, Predictions],
    groups: Mapping[str, np.ndarray | None],
) -> tuple[str, ...]:
    """The verdict of the pooled comparison, with how it was made and what a nested choice gives.

    Args:
        views: the folds.
        found: their pooled comparison.
        truth: split -> target -> labels of all folds; the groups likewise.
    """
    target = found.target
    shared = Resampled(
        found.metric, views[0].task.targets[target], truth["test"][target], groups["test"]
    )
    more = [_how(views), *_chosen(views, shared, target)]
    return (*found.verdict[:LEADING], *more, *found.verdict[LEADING:])


def _how(views: Sequence[StudyView]) -> str:
    folds = int(views[0].config.get("folds", 0)) or len(views)
    rows = sum(len(view.ids["test"]) for view in views)
    if len(views) < folds:
        return (
            f"Of a nested {folds}-fold cross-validation {len(views)} of the folds can be counted "
            f"so far: {rows} rows were tested once."
        )
    return (
        f"This is a nested {folds}-fold cross-validation: each of the {rows} rows was tested once, "
        "by models that neither trained nor were chosen on it."
    )


def _chosen(views: Sequence[StudyView], shared: Resampled, target: str) -> Iterator[str]:
    label = METRICS[shared.metric].label
    every, fusions, singles = (_best(views, kind) for kind in (None, "fusion", "single"))
    scores = _scores(views, every, shared, target)
    if scores:
        arms = ", ".join(f"{name} in {count}" for name, count in Counter(every).most_common())
        yield (
            f"With the arm chosen anew in each fold, as in a search on new data, {label} is "
            f"{_bounds(shared.mean(list(scores.values())))} ({arms})."
        )
    ours, theirs = (_scores(views, names, shared, target) for names in (fusions, singles))
    seeds = sorted(set(ours) & set(theirs))
    if seeds:
        gain = shared.gain([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
        yield _fusion(gain, label)


def _fusion(gain: Interval, label: str) -> str:
    pair = "the best single modality"
    size = f"{_bounds(gain, '+')} in {label}"
    if gain.low > 0:
        return f"Chosen anew in each fold, the best fusion beats {pair}, by {size}."
    if gain.high < 0:
        return f"Chosen anew in each fold, the best fusion is worse than {pair}, by {size}."
    return (
        f"Chosen anew in each fold, the best fusion cannot be told from {pair}: the difference is "
        f"{size}."
    )


def _best(views: Sequence[StudyView], kind: str | None) -> list[str]:
    """The arm of a kind (None: of any) that validates best in each fold; empty without one."""
    return [
        next((s.arm.name for s in view.comparison.standings if kind in (None, s.arm.kind)), "")
        for view in views
    ]


def _scores(
    views: Sequence[StudyView], arms: Sequence[str], shared: Resampled, target: str
) -> dict[int, Scored]:
    """Seed -> score; empty where a fold has no such arm."""
    mapped = quantiles if shared.metric in RANKINGS else as_predicted
    runs = joined_runs(views, arms, mapped)
    return {run.seed: shared.score(run.test[target]) for run in runs}


def _bounds(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"
