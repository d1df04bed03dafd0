"""What an earlier study found, offered to the arms of a new one.

The candidates are stored with the new study, so it continues where the earlier one is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mmauto.config import StudyConfig
from mmauto.engine.metrics import METRICS
from mmauto.engine.train_space import FINETUNE
from mmauto.errors import ConfigError
from mmauto.space import Params
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm
from mmauto.views import TrialView

FACT = "offered"
"""Where the candidates stand among a study's facts."""

MOST = 3
"""Candidates of an earlier study that an arm tries first."""


def earlier_best(config: StudyConfig) -> dict[str, Any]:
    """Arm -> its component and its best candidates in the study that ``warm_start`` names.

    Raises:
        ConfigError: there is no such study.
    """
    if config.warm_start is None:
        return {}
    places = (Path(config.out) / config.warm_start, Path(config.warm_start))
    for folder in places:
        store = StudyStore.open(folder)
        if store is not None:
            break
    else:
        raise ConfigError(
            f"--warm-start must name an earlier study, {config.warm_start!r} is none: there is no "
            f"study.db in {' or '.join(map(str, places))}; give the study's folder"
        )
    with closing(store):
        trials, arms = store.trials(), store.arms()
        maximise = METRICS[store.task.metric].maximise
    return {
        arm.name: {
            "component": arm.component,
            "candidates": best_of([t for t in trials if t.arm == arm.name], maximise),
        }
        for arm in arms
    }


def best_of(trials: Sequence[TrialView], maximise: bool) -> list[dict[str, Any]]:
    """The parameters of the best trials, best first; those trained to their end before others."""
    sign = 1.0 if maximise else -1.0
    scored = [
        t for t in trials
        if t.state in ("complete", "pruned") and t.value is not None and FINETUNE not in t.params
    ]  # fmt: skip
    scored.sort(key=lambda t: (t.state != "complete", -sign * (t.value or 0.0), t.id))
    return [dict(trial.params) for trial in scored[:MOST]]


def offers(facts: Mapping[str, Any], arm: Arm) -> Sequence[Params]:
    """What a study's facts hold for an arm: candidates of one with its name and component."""
    found = facts.get(FACT, {}).get(arm.name, {"component": None})
    return found["candidates"] if found["component"] == arm.view.component else ()


def told(config: StudyConfig, facts: Mapping[str, Any], arms: Sequence[Arm]) -> str:
    """A sentence on how many arms start from how many candidates; empty without a warm start."""
    if config.warm_start is None:
        return ""
    counts = [len(offers(facts, arm)) for arm in arms]
    begun = sum(count > 0 for count in counts)
    return (
        f"{begun} of {len(arms)} arms begin with {sum(counts)} candidates of the study "
        f"{config.warm_start}"
    )
