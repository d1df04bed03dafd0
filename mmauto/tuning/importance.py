"""Which hyper-parameters mattered in an arm: PED-ANOVA (Watanabe 2023), as Optuna computes it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

from mmauto.space import Choice
from mmauto.tuning.arms import Arm
from mmauto.tuning.optuna_words import distributions, lean, new_study
from mmauto.views import TrialView

LEAST = 8
"""Finished trials below which a share of variance means nothing."""


def importances(arm: Arm, trials: Sequence[TrialView], maximise: bool) -> dict[str, float]:
    """parameter -> share of importance, largest first; empty where there are too few trials.

    Parameters of encoders that were never chosen, and fixed ones, are left out.
    """
    scored = [t for t in trials if t.state in ("complete", "pruned") and t.value is not None]
    if len(scored) < LEAST or len({trial.value for trial in scored}) < 2:
        return {}
    import optuna

    # pruned trials count with their best value so far: leaving them out would keep only winners
    study, spread = new_study(maximise), distributions(arm.space)
    study.add_trials([lean(arm, replace(trial, state="complete"), spread) for trial in scored])
    names = [name for name in arm.space if _searched(arm, name, scored)]
    if not names:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), params=names
            )
        except (ValueError, RuntimeError):
            return {}
    return {name: float(share) for name, share in found.items()}


def _searched(arm: Arm, name: str, trials: Sequence[TrialView]) -> bool:
    dimension = arm.space[name]
    if isinstance(dimension, Choice) and len(dimension.options) < 2:
        return False
    parts = name.split("/")
    owners = {f"{key}/encoder" for key in arm.modalities}
    chosen_by = f"{parts[0]}/encoder"
    if len(parts) == 3 and chosen_by in owners:
        return all(trial.params.get(chosen_by) == parts[1] for trial in trials)
    return len({str(trial.params.get(name)) for trial in trials}) > 1
