"""What the modalities know of the target, in plain words: the same, different things, or only
together something.

Read from what separately trained arms reach: each modality alone, and the best fusion. The words
follow the decomposition of information into redundant, unique and synergistic parts (Williams and
Beer 2010; for multimodal data Liang et al. 2023, NeurIPS), of which scores show the outcome only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmauto.answers.statistics import Resampled, interval
from mmauto.answers.verdict import helps
from mmauto.engine.metrics import METRICS, observed, score
from mmauto.engine.thresholds import at_half
from mmauto.values import TargetSpec, single_arm
from mmauto.views import StudyView

DEALS = 40
"""Times that labels are dealt anew."""

Kind = Literal["nothing", "unique", "redundant", "complementary", "synergistic", "unclear"]

SMALL = 0.25
"""Of what the best single modality gains over guessing: a gain of fusing that is surely less than
this share makes modalities redundant."""


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
    own = {single_arm(key): key for key in view.task.modalities}
    singles = [line.arm for line in lines if line.arm.name in own]
    fusion = next((line for line in lines if line.arm.kind == "fusion"), None)
    if len(singles) < 2 or fusion is None:
        return None
    spec, truth = view.task.targets[view.task.primary], view.truth["test"][view.task.primary]
    shared = Resampled(view.task.metric, spec, truth, view.groups.get("test"))
    sign = 1.0 if METRICS[view.task.metric].maximise else -1.0

    def above(names: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        """How far arms are above guessing, as it is and under each resample."""
        found = []
        for name in names:
            runs = [run for run in view.confirmations if run.arm == name and run.test]
            given = [at_half(r, spec.name) for r in runs]
            floor = guessing(view.task.metric, spec, truth, given)
            value, resamples = shared.crossed([shared.score(one) for one in given])
            found.append((sign * (value - floor), sign * (resamples - floor)))
        return found

    alone = above([arm.name for arm in singles])
    ((joint, joints),) = above([fusion.arm.name])
    knowing = tuple(
        own[arm.name] for arm, found in zip(singles, alone, strict=True) if interval(*found).low > 0
    )
    more = interval(
        joint - sum(value for value, _ in alone), joints - sum(some for _, some in alone)
    )
    most = SMALL * max(value for value, _ in alone)
    little = fusion.difference is not None and fusion.difference.high < most
    return _worded(
        knowing, interval(joint, joints).low > 0, helps(fusion) is True, more.low > 0, little
    )


def guessing(
    metric: str, spec: TargetSpec, truth: np.ndarray, runs: Sequence[np.ndarray], seed: int = 0
) -> float:
    """What answers like these are worth where they say nothing of their row.

    The mean metric with the labels dealt anew to the rows: unlike that of a constant answer, it
    has what chance alone gives to a ranking on few rows, or to a model that says "yes" often.
    """
    source = np.random.default_rng(seed)
    known = np.flatnonzero(observed(spec, truth))
    found = []
    for _ in range(DEALS):
        dealt = truth[source.permutation(known)]
        found += [score(metric, spec, dealt, given[known]) for given in runs]
    return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan


def _worded(knowing: tuple[str, ...], joint: bool, gain: bool, more: bool, little: bool) -> Profile:
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
    if not little:
        verb = "beats" if len(knowing) == 1 else "each beat"
        return Profile(
            "unclear", knowing,
            f"{names} {verb} guessing alone; whether the modalities know different things cannot "
            "be told from so few rows",
            "decide nothing from this; more test rows, or folds, would tell",
        )  # fmt: skip
    if len(knowing) > 1:
        return Profile(
            "redundant", knowing,
            f"{names} each beat guessing, and fusing them adds little if anything: they know "
            "nearly the same",
            "use the modality that is cheapest to collect; fuse where it may be missing",
        )  # fmt: skip
    return Profile(
        "unique", knowing,
        f"Only {names} beats guessing, and adding the others gives little if anything",
        f"use {names} alone; check whether the others were encoded well before giving them up",
    )  # fmt: skip
