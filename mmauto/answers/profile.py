"""What the modalities know of the target, in plain words: the same, different things, or only
together something.

Read from what separately trained arms reach: each modality alone, and the best fusion. The words
follow the decomposition of information into redundant, unique and synergistic parts (Williams and
Beer 2010; for multimodal data Liang et al. 2023, NeurIPS), of which scores show the outcome only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmauto.answers.statistics import Resampled, interval
from mmauto.answers.verdict import helps
from mmauto.engine.metrics import METRICS
from mmauto.engine.thresholds import centred
from mmauto.values import TargetSpec
from mmauto.views import StudyView

Kind = Literal["nothing", "unique", "redundant", "complementary", "synergistic"]


@dataclass(frozen=True)
class Profile:
    """What kind of data this is, as far as it can be told.

    Attributes:
        informative: modalities that alone beat guessing.
        text: what was found.
        advice: what follows for the choice of a model.
    """

    kind: Kind
    informative: tuple[str, ...]
    text: str
    advice: str


def profile(view: StudyView) -> Profile | None:
    """None without two single modalities and a fusion."""
    lines = view.comparison.standings
    singles = [line.arm for line in lines if line.arm.kind == "single"]
    fusion = next((line for line in lines if line.arm.kind == "fusion"), None)
    if len(singles) < 2 or fusion is None:
        return None
    spec, truth = view.task.targets[view.task.primary], view.truth["test"][view.task.primary]
    floor = guessing(view.task.metric, spec, truth)
    shared = Resampled(view.task.metric, spec, truth, view.groups.get("test"))
    sign = 1.0 if METRICS[view.task.metric].maximise else -1.0

    def above(names: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        """How far arms are above guessing, as it is and under each resample."""
        found = []
        for name in names:
            runs = [run for run in view.confirmations if run.arm == name and run.test]
            scored = [
                shared.score(centred(r.test[spec.name], r.thresholds.get(spec.name))) for r in runs
            ]
            value, resamples = shared.crossed(scored)
            found.append((sign * (value - floor), sign * (resamples - floor)))
        return found

    alone = above([arm.name for arm in singles])
    ((joint, joints),) = above([fusion.arm.name])
    knowing = tuple(
        _modality(arm.name)
        for arm, found in zip(singles, alone, strict=True)
        if interval(*found).low > 0
    )
    more = interval(
        joint - sum(value for value, _ in alone), joints - sum(some for _, some in alone)
    )
    return _worded(knowing, interval(joint, joints).low > 0, helps(fusion) is True, more.low > 0)


def guessing(metric: str, spec: TargetSpec, truth: np.ndarray) -> float:
    """What the metric gives without any information: the best constant answer's."""
    if spec.kind == "regression":
        known = truth[~np.isnan(truth)]
        return {"r2": 0.0, "rmse": float(known.std()), "mae": float(
            np.abs(known - np.median(known)).mean())}[metric]  # fmt: skip
    if metric == "auroc":
        return 0.5
    right = truth[truth >= 0].astype(int) if truth.ndim == 1 else (truth > 0.5).astype(int)
    if spec.kind == "multilabel":
        shares = right.mean(axis=0)
        return float(
            np.maximum(shares, 1 - shares).mean() if metric == "accuracy" else shares.mean()
        )
    shares = np.bincount(right, minlength=len(spec.classes)) / max(1, len(right))
    if metric == "accuracy":
        return float(shares.max())
    if metric == "average_precision":
        return float(shares[1] if spec.kind == "binary" else shares.mean())
    return 1 / max(1, int((shares > 0).sum()))


def _worded(knowing: tuple[str, ...], joint: bool, gain: bool, more: bool) -> Profile:
    *first, last = knowing or ("",)
    names = f"{', '.join(first)} and {last}" if first else last
    if not knowing and not joint:
        return Profile(
            "nothing", knowing,
            "Neither a modality alone nor a fusion is clearly better than guessing",
            "look for better data or labels before looking for better models",
        )  # fmt: skip
    if not knowing or (gain and more):
        start = "Alone, no modality beats guessing" if not knowing else (
            "Together the modalities gain more than the sum of what each gains alone"
        )  # fmt: skip
        return Profile(
            "synergistic", knowing,
            f"{start}: the target lies in how they combine",
            "prefer strategies in which modalities meet early (attention, bilinear, early fusion); "
            "averaging separate models cannot find it",
        )  # fmt: skip
    if gain and len(knowing) > 1:
        return Profile(
            "complementary", knowing,
            f"{names} each know something that the others do not",
            "late fusion or a plain concatenation is often enough; keep all of them",
        )  # fmt: skip
    if gain:
        return Profile(
            "complementary", knowing,
            f"Only {names} beats guessing alone, and the others add to it",
            f"keep {names}, and a fusion that can let it condition the others",
        )  # fmt: skip
    if len(knowing) > 1:
        return Profile(
            "redundant", knowing,
            f"{names} each beat guessing, and no gain of fusing them can be told from chance: as "
            "far as this data shows, they know the same",
            "use the modality that is cheapest to collect; fuse where it may be missing",
        )  # fmt: skip
    return Profile(
        "unique", knowing,
        f"Only {names} beats guessing, and no gain of adding the others can be told from chance",
        f"use {names} alone; check whether the others were encoded well before giving them up",
    )  # fmt: skip


def _modality(arm: str) -> str:
    return arm.removesuffix("_only")
