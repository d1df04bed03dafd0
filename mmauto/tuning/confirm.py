"""Confirmation: the best candidate of each arm, retrained over seeds and scored once on test."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmauto.config import StudyConfig
from mmauto.engine.jobs import Outcome, Runner, TrialJob
from mmauto.engine.train_space import FINETUNE
from mmauto.space import Params
from mmauto.store.files import CHECKPOINTS
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.chances import eligible, trials_each
from mmauto.tuning.crew import Crew
from mmauto.tuning.sampler import derived
from mmauto.tuning.watch import Watcher
from mmauto.views import TrialView


def best_of(trials: Sequence[TrialView], sign: float) -> TrialView | None:
    """The trial with the best validation metric; pruned ones only where none is complete.

    Args:
        sign: 1 where more of the metric is better, else -1.
    """
    scored = [t for t in trials if t.state in ("complete", "pruned") and t.value is not None]
    complete = [trial for trial in scored if trial.state == "complete"]
    return max(complete or scored, key=lambda t: (sign * (t.value or 0.0), -t.id), default=None)


class Confirmation:
    """Runs what is missing; the seeds are shared by all arms, so differences are paired."""

    def __init__(
        self,
        store: StudyStore,
        arms: Sequence[Arm],
        config: StudyConfig,
        crew: Crew,
        watcher: Watcher,
        maximise: bool,
    ):
        self.store, self.arms, self.config = store, arms, config
        self.crew, self.watcher = crew, watcher
        self.sign = 1.0 if maximise else -1.0
        self.running: dict[int, tuple[str, int]] = {}

    def run(self) -> None:
        """Confirm every arm that has a result."""
        every = self.store.trials()
        most = trials_each(self.store, self.arms)
        trials = eligible(every, most)
        if len(trials) < len(every):
            self.watcher.note(
                f"the search ended before every arm had as many trials: the best of the first "
                f"{most} of each arm are compared, {len(every) - len(trials)} later ones are not"
            )
        for view in self.store.confirmations():
            self.watcher.confirmed(view.arm, view.seed, view.value)

        def work(arm: Arm, runner: Runner) -> None:
            best = best_of([trial for trial in trials if trial.arm == arm.name], self.sign)
            if best is not None:
                self._confirm(arm, best, runner)

        self.crew.each(self.arms, work)

    def _confirm(self, arm: Arm, best: TrialView, runner: Runner) -> None:
        known = {row.number: row for row in self.store.rows("confirm") if row.arm == arm.name}
        fresh = [
            NewTrial(
                arm.name, "confirm", 0, place, derived(self.config.seed, "confirm", str(place)),
                best.params, best.id,
            )
            for place in range(self.config.confirm_seeds)
            if place not in known
        ]  # fmt: skip
        todo: list[tuple[int, int, Params]] = [
            (row.id, row.number, row.params) for row in known.values() if row.state == "running"
        ]
        if fresh:
            ids = self.store.begin(fresh)
            todo += [(i, trial.number, trial.params) for i, trial in zip(ids, fresh, strict=True)]
        if todo:
            self._train(arm, best, todo, runner)
        self._keep_best_bundle(arm.name)

    def _train(
        self,
        arm: Arm,
        best: TrialView,
        todo: Sequence[tuple[int, int, Params]],
        runner: Runner,
    ) -> None:
        self.watcher.saying(f"confirming {arm.name}")
        self.running.update({identity: (arm.name, place) for identity, place, _ in todo})
        jobs = [
            TrialJob(
                identity, arm.candidate(params),
                derived(self.config.seed, "confirm", str(place)),
                self.config.epochs, self.config.patience, score_test=True,
                bundle=str(self._bundle(arm.name, place)), measure=place == 0,
                soup=self.config.soup, checkpoints=str(self.store.folder / CHECKPOINTS),
            )
            for identity, place, params in todo
        ]  # fmt: skip
        # encoders in training fill the memory: such jobs run one after another
        groups = [[job] for job in jobs] if FINETUNE in best.params else [jobs]

        def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
            self.store.observe(epoch, values)
            return dict.fromkeys(values, True)

        for group in groups:
            runner.run_pack(group, report)

    def ended(self, outcome: Outcome) -> None:
        """Take in an outcome as soon as it is there."""
        arm, place = self.running.pop(outcome.id)
        self.store.finish(outcome)
        self.watcher.confirmed(arm, place, outcome.value)

    def _bundle(self, arm: str, place: int) -> Path:
        return self.store.folder / "models" / f".{arm}-{place}"

    def _keep_best_bundle(self, arm: str) -> None:
        """The bundle of the seed that is best on validation becomes ``models/ARM``.

        The others go first: a search that is killed meanwhile finds the best one as it continues.
        """
        if not any(self._bundle(arm, n).exists() for n in range(self.config.confirm_seeds)):
            return
        found = [
            view
            for view in self.store.confirmations()
            if view.arm == arm and view.value is not None and self._bundle(arm, view.seed).exists()
        ]
        if not found:
            return
        best = max(found, key=lambda view: (self.sign * (view.value or 0.0), -view.seed))
        for view in found:
            if view is not best:
                shutil.rmtree(self._bundle(arm, view.seed), ignore_errors=True)
        final = self.store.folder / "models" / arm
        shutil.rmtree(final, ignore_errors=True)
        self._bundle(arm, best.seed).rename(final)
