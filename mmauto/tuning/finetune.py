"""Between search and confirmation: the best candidates once more, with their encoders in training.

Each arm chosen gets one more trial. Confirmation takes an arm's best trial, so a fine-tuned one is
confirmed where it is better on validation. The best single modality is always among them: a
fine-tuned fusion that is compared with a frozen reference would win for the wrong reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmauto.config import StudyConfig
from mmauto.engine.jobs import Outcome, Runner, TrialJob
from mmauto.engine.train_space import FINETUNE
from mmauto.registry import Registry
from mmauto.space import Params
from mmauto.store.files import CHECKPOINTS
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.chances import eligible, trials_each
from mmauto.tuning.confirm import best_of
from mmauto.tuning.crew import Crew
from mmauto.tuning.run import Clock
from mmauto.tuning.watch import Watcher
from mmauto.views import TrialView

AUTO = 3
"""Arms that ``auto`` fine-tunes on a GPU."""


class FineTuning:
    """Runs what is missing of the stage, from wherever the store stands."""

    def __init__(
        self,
        store: StudyStore,
        arms: Sequence[Arm],
        config: StudyConfig,
        crew: Crew,
        watcher: Watcher,
        registry: Registry,
        maximise: bool,
        clock: Clock,
    ):
        self.store, self.arms, self.config = store, {arm.name: arm for arm in arms}, config
        self.crew, self.watcher, self.registry = crew, watcher, registry
        self.sign, self.clock = 1.0 if maximise else -1.0, clock
        self.best: dict[str, TrialView] = {}
        self.running: dict[int, str] = {}

    def run(self, device: str) -> None:
        """Fine-tune the best arms, where the settings and the time allow it.

        Args:
            device: ``cpu`` or ``cuda[:n]``.
        """
        most = wanted(self.config.finetune, device)
        if not most:
            return
        chosen = self._chosen(most)
        if not chosen and self.config.finetune != "auto":
            self.watcher.note("no arm's best candidate has an encoder that can be fine-tuned")
        todo = self._todo(chosen)
        if not todo:
            return
        if self.clock.over:
            self.watcher.note("the time for the search is over; nothing is fine-tuned")
            return
        slow = "; on a CPU an epoch may take minutes" if device == "cpu" else ""
        self.watcher.note(f"fine-tuning the best candidates of {', '.join(todo)}{slow}")
        self._begin(todo)
        self.crew.each(list(self.running.items()), self._one)

    def _chosen(self, most: int) -> list[str]:
        """The best arms that can be fine-tuned, and the best single modality among those."""
        trials = [t for t in self.store.trials() if FINETUNE not in t.params]
        searched = eligible(trials, trials_each(self.store, list(self.arms.values())))
        for name, arm in self.arms.items():
            best = best_of([trial for trial in searched if trial.arm == name], self.sign)
            if best is not None and self._tunable(arm, best):
                self.best[name] = best
        ranked = sorted(self.best, key=lambda n: -self.sign * (self.best[n].value or 0.0))
        singles = [name for name in ranked if self.arms[name].view.kind == "single"]
        return [name for name in ranked if name in (*ranked[:most], *singles[:1])]

    def _tunable(self, arm: Arm, best: TrialView) -> bool:
        if arm.view.kind == "control":
            return False
        candidate = arm.candidate(best.params)
        found = (
            (self.registry.encoder(candidate.encoder(key)), candidate.encoder_params(key))
            for key in arm.modalities
        )
        return any(encoder.frozen(own) and encoder.tunable(own) for encoder, own in found)

    def _todo(self, chosen: Sequence[str]) -> list[str]:
        """Those that have neither ended the stage nor been confirmed without it."""
        confirmed = {row.arm for row in self.store.rows("confirm")}
        ended = {
            trial.arm
            for trial in self.store.trials()
            if FINETUNE in trial.params and trial.state != "running"
        }
        return [name for name in chosen if name not in confirmed | ended]

    def _begin(self, todo: Sequence[str]) -> None:
        """Record their trials as running, but for those that a killed search left so."""
        left = {t.arm: t.id for t in self.store.trials() if FINETUNE in t.params}
        fresh = [self._trial(name) for name in todo if name not in left]
        began = self.store.begin(fresh) if fresh else []
        left |= {trial.arm: identity for trial, identity in zip(fresh, began, strict=True)}
        self.running = {left[name]: name for name in todo}

    def _trial(self, name: str) -> NewTrial:
        """In a generation of its own, with a number behind all that the arm may still get."""
        number = 1 if self.arms[name].once else self.config.trials
        generation = math.ceil(self.config.trials / self.config.generation)
        return NewTrial(
            name, "search", generation, number, self.config.seed, self._params(name),
            self.best[name].id,
        )  # fmt: skip

    def _params(self, name: str) -> Params:
        return {**self.best[name].params, FINETUNE: self.config.finetune_epochs}

    def _one(self, item: tuple[int, str], runner: Runner) -> None:
        identity, name = item
        self.watcher.saying(f"fine-tuning {name}")
        job = TrialJob(
            identity, self.arms[name].candidate(self._params(name)), self.config.seed,
            self.config.epochs, self.config.patience,
            checkpoints=str(self.store.folder / CHECKPOINTS),
        )  # fmt: skip

        def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
            return dict.fromkeys(values, not self.clock.over)

        runner.run_pack([job], report)

    def ended(self, outcome: Outcome) -> None:
        """Take in an outcome as soon as it is there, and say what came of it."""
        name = self.running[outcome.id]
        self.store.finish(outcome)
        before, after = self.best[name].value or 0.0, outcome.value
        if outcome.state != "complete" or after is None:
            failure = outcome.failure
            why = f"failed ({failure.kind}: {failure.message})" if failure else "had no time left"
            self.watcher.note(f"fine-tuning {name} {why}")
        elif self.sign * after > self.sign * before:
            self.watcher.note(f"fine-tuning {name}: {before:.4f} became {after:.4f} on validation")
        else:
            self.watcher.note(f"fine-tuning {name}: not better than {before:.4f} on validation")


def wanted(setting: str, device: str) -> int:
    """How many arms ``finetune`` asks for on a device."""
    if setting == "auto":
        return 0 if device == "cpu" else AUTO
    return 0 if setting == "none" else int(setting.removeprefix("top"))
