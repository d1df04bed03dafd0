"""Which classes need which modality: what share of a class is lost where one says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmauto.answers.asked import CLEAN, Asked
from mmauto.answers.statistics import interval
from mmauto.answers.sums import both_columns
from mmauto.engine.metrics import decide
from mmauto.engine.thresholds import centred
from mmauto.views import Interval, StudyView


@dataclass(frozen=True)
class Need:
    """One class.

    Attributes:
        rows: of this class among those that were asked about.
        found: share of them that the model finds.
        lost: modality -> how much less it finds where that modality's samples are other rows'.
    """

    name: str
    rows: int
    found: Interval
    lost: Mapping[str, Interval]


def needs(view: StudyView, arm: str) -> list[Need]:
    """Of every class of a binary or multiclass target; none where the arm was not asked."""
    spec = view.task.targets[view.task.primary]
    if view.probes is None or arm not in view.probes.answers:
        return []
    if spec.kind not in ("binary", "multiclass"):
        return []
    asked = Asked(view)
    shared = asked.shared
    right = shared.truth.astype(int)
    names = np.arange(len(spec.classes))
    there = (right[:, None] == names).astype(float)  # (N, C)
    counts, weights = there.sum(axis=0), shared.rows @ there

    def recall(question: str) -> tuple[np.ndarray, np.ndarray]:
        """(C,) as it is and (R, C) under each resample."""
        given = asked.answers[arm][question][spec.name][: asked.size][shared.known]
        given = both_columns(spec, centred(given, asked.cut(arm)))
        hit = there * (decide(given, False) == right)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return hit.sum(axis=0) / counts, (shared.rows @ hit) / weights

    value, resamples = recall(CLEAN)
    lost: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key in asked.keys(arm):
        start = f"swapped|{key}||"
        each = [recall(name) for name in asked.answers[arm] if name.startswith(start)]
        if not each:  # the questions failed
            continue
        lost[key] = (
            value - np.mean([one for one, _ in each], axis=0),
            resamples - np.mean([some for _, some in each], axis=0),
        )
    return [
        Need(
            name, int(counts[c]), interval(float(value[c]), resamples[:, c]),
            {key: interval(float(one[c]), some[:, c]) for key, (one, some) in lost.items()},
        )
        for c, name in enumerate(spec.classes)
        if counts[c]
    ]  # fmt: skip
