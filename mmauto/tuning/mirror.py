"""Optuna's view of a study: its own tables in the same file, for its own tools.

``optuna.load_study(study_name="NAME/ARM", storage="sqlite:///study.db")`` and optuna-dashboard work
on them. They are a copy: nothing is ever read back from them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.sampler import freeze


def mirror(store: StudyStore, arms: Sequence[Arm], maximise: bool) -> None:
    """Add the finished trials that are not there yet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = store.trials()
    with warnings.catch_warnings():
        # creating many studies in one file is what is meant here
        warnings.simplefilter("ignore", UserWarning)
        storage = optuna.storages.RDBStorage(store.url(store.folder))
    try:
        for arm in arms:
            study = optuna.create_study(
                study_name=f"{store.name}/{arm.name}",
                storage=storage,
                direction="maximize" if maximise else "minimize",
                load_if_exists=True,
            )
            there = {trial.user_attrs.get("mmauto_trial") for trial in study.get_trials(False)}
            fresh = [freeze(arm, t) for t in trials if t.arm == arm.name and t.id not in there]
            study.add_trials([trial for trial in fresh if trial is not None])
    finally:
        storage.remove_session()
        storage.engine.dispose()
