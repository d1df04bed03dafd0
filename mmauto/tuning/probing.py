"""After confirmation: the kept models are asked what they rely on, and how they break."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmauto.config import StudyConfig
from mmauto.engine.child_process import LostExecutorError
from mmauto.engine.jobs import ProbeJob, Runner
from mmauto.engine.process import ProcessExecutor
from mmauto.store.probes import probed, save_probe
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.watch import Watcher
from mmauto.views import Predictions

SPOILT = 0.5
"""Share of the rows asked about that are spoilt, too: each of them is encoded anew many times."""


class Probing:
    """Asks the kept models of all arms that have not been asked.

    Args:
        test: ``(N,)`` the test rows' places in the data.
    """

    def __init__(
        self,
        store: StudyStore,
        arms: Sequence[Arm],
        config: StudyConfig,
        watcher: Watcher,
        test: np.ndarray,
    ):
        self.store, self.arms, self.config, self.watcher = store, arms, config, watcher
        self.test = test

    def run(self, runner: Runner) -> None:
        """Ask, and keep the answers; a runner that trains only is not asked."""
        if not isinstance(runner, ProcessExecutor):
            return
        models = self.store.folder / "models"
        known = probed(self.store.folder)
        folders = {
            arm.name: str(models / arm.name)
            for arm in self.arms
            if (models / arm.name / "bundle.json").exists()
        }
        count = min(self.config.probe_rows, len(self.test))
        if not count or not set(folders) - known:
            return
        source = np.random.default_rng(self.config.seed)
        rows = np.sort(source.choice(len(self.test), count, replace=False))
        spoilt = max(1, round(SPOILT * count))
        answers: dict[str, dict[str, Predictions]] = {}

        def take(arm: str, question: str, given: Predictions) -> None:
            answers.setdefault(arm, {})[question] = given

        self.watcher.saying("asking the models what they rely on")
        job = ProbeJob(folders, source.permutation(self.test[rows]), spoilt, self.config.seed)
        try:
            runner.probe(job, take)
        except LostExecutorError as lost:
            self.watcher.note(f"not all models were asked what they rely on: {lost}")
        places = {int(row): place for place, row in enumerate(self.test)}
        asked = np.array([places[int(row)] for row in job.rows])
        for arm, own in answers.items():
            save_probe(self.store.folder, arm, asked, spoilt, own)
