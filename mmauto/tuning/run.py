"""The coordinator: asks, hands out packs, decides on pruning, and is the only writer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmauto.config import StudyConfig
from mmauto.engine.jobs import Outcome, Runner, TrialJob
from mmauto.engine.train_space import FINETUNE
from mmauto.store.files import CHECKPOINTS
from mmauto.store.seconds import ASKING
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.crew import Crew
from mmauto.tuning.pruning import Halving, OptunaPruner, Pruner
from mmauto.tuning.sampler import ask
from mmauto.tuning.warm_start import offers
from mmauto.tuning.watch import Watcher
from mmauto.views import TrialView

PARK_AFTER = 5
"""Failures in a row after which an arm gets no further trials."""

SEARCH_SHARE = 0.7
"""Share of ``--time`` for the search; the rest is confirmation's."""


@dataclass
class Clock:
    """Seconds since the start of this run, and the limit of the search phase."""

    limit: float | None
    start: float

    @property
    def over(self) -> bool:
        """Whether the search has used its share."""
        return self.limit is not None and time.monotonic() - self.start > self.limit


class Search:
    """Runs the generations of all arms, from wherever the store stands.

    Args:
        train_rows: rows in the train split, from which steps an epoch follow.
        maximise: whether more of the metric is better.
    """

    def __init__(
        self,
        store: StudyStore,
        arms: Sequence[Arm],
        config: StudyConfig,
        crew: Crew,
        watcher: Watcher,
        train_rows: int,
        maximise: bool,
        clock: Clock,
    ):
        self.store, self.arms, self.config = store, arms, config
        self.crew, self.watcher = crew, watcher
        self.train_rows, self.maximise, self.clock = train_rows, maximise, clock
        self.history: dict[str, dict[int, TrialView]] = {arm.name: {} for arm in arms}
        self.parked = {view.name for view in store.arms() if view.parked}
        # with more trials, an arm's best could be another than the one that was confirmed
        self.confirmed = {row.arm for row in store.rows("confirm")}
        self.running: dict[int, TrialView] = {}

    def total(self, arm: Arm) -> int:
        """Trials that the arm gets; one that fine-tunes its best comes on top."""
        return 1 if arm.once else self.config.trials

    def run(self) -> None:
        """Bring every arm to its total, or to the end of the time."""
        for trial in self.store.trials():
            if trial.arm in self.history and FINETUNE not in trial.params:
                self.history[trial.arm][trial.index] = trial
                if trial.state != "running":
                    self.watcher.ended(trial)
        if self.confirmed:  # arms that the time had cut short stay so: the others were chosen by it
            self.confirmed |= {name for name, known in self.history.items() if known}
        every = range(math.ceil(self.config.trials / self.config.generation))
        # with a limit of time, arms stay abreast: its end finds none more than a generation ahead
        stints = [every] if self.clock.limit is None else [range(g, g + 1) for g in every]
        for stint in stints:
            if stint.start and self.clock.over:
                self.watcher.note("the time for the search is over; confirmation follows")
                return
            self.crew.each([(arm, stint.start) for arm in self.arms], partial(self._turn, stint))

    def _turn(self, stint: range, item: tuple[Arm, int], runner: Runner) -> tuple[Arm, int] | None:
        """One generation of an arm; the next one, if the stint has one."""
        arm, generation = item
        self._generation(generation, arm, runner)
        return (arm, generation + 1) if generation + 1 in stint else None

    def _generation(self, generation: int, arm: Arm, runner: Runner) -> None:
        # the first generation runs whatever the time: an arm without a result cannot be compared
        if arm.name in self.parked | self.confirmed or (generation and self.clock.over):
            return
        first = generation * self.config.generation
        numbers = range(first, min(first + self.config.generation, self.total(arm)))
        history = self.history[arm.name]
        fresh = [number for number in numbers if number not in history]
        if fresh:
            self._ask(arm, generation, fresh)
        members = [history[number] for number in numbers]
        todo = [trial for trial in members if trial.state == "running"]
        if not todo:
            self._park(arm)  # a kill may have come before it
            return
        pruner = self._pruner(arm, members, todo)

        def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
            self.store.observe(epoch, values)
            if self.clock.over:
                return dict.fromkeys(values, False)
            failed = [n for n in numbers if history[n].state == "failed"]
            return pruner.keep(epoch, values, [history[n].id for n in failed])

        self.running.update({trial.id: trial for trial in todo})
        jobs = [
            TrialJob(
                trial.id, arm.candidate(trial.params), self.config.seed, self.config.epochs,
                self.config.patience, pack=arm.pack(trial.params),
                checkpoints=str(self.store.folder / CHECKPOINTS),
            )
            for trial in todo
        ]  # fmt: skip
        self.watcher.saying(f"{arm.name}: trials {numbers[0] + 1} to {numbers[-1] + 1}")
        runner.run_pack(jobs, report)
        self._park(arm)

    def _ask(self, arm: Arm, generation: int, numbers: Sequence[int]) -> None:
        history = self.history[arm.name]
        stored = [history[number] for number in sorted(history)]
        offered = offers(self.store.facts, arm)
        with self.store.spent.on(ASKING):
            asked = ask(arm, self.config, self.maximise, stored, numbers, offered)
        fresh = [
            NewTrial(arm.name, "search", generation, number, self.config.seed, params)
            for number, params in zip(numbers, asked, strict=True)
        ]
        for trial, identity in zip(fresh, self.store.begin(fresh), strict=True):
            history[trial.number] = TrialView(
                identity, arm.name, generation, trial.number, "running", trial.params,
                started=time.time(),
            )  # fmt: skip

    def _pruner(self, arm: Arm, members: list[TrialView], todo: list[TrialView]) -> Pruner:
        name = self.config.pruner
        if name == "none" or arm.view.kind == "control" or len(members) == 1:
            return Pruner()
        now = members[0].generation
        earlier = [trial for trial in self.history[arm.name].values() if trial.generation < now]
        ended = {trial.id: trial.curve for trial in members if trial not in todo}
        if name == "halving":
            batch = max(int(trial.params["train/batch_size"]) for trial in members)
            steps = math.ceil(self.train_rows / batch)
            curves = [(t.state == "complete", t.curve) for t in earlier if t.state != "failed"]
            return Halving(
                self.maximise, steps, self.config.epochs, [trial.id for trial in members], ended,
                curves,
            )  # fmt: skip
        asked = {trial.id: trial.params for trial in members}
        return OptunaPruner(name, arm, self.maximise, self.config.epochs, earlier, asked, ended)

    def ended(self, outcome: Outcome) -> None:
        """Take in an outcome; executors call this as soon as a trial has ended."""
        before = self.running.pop(outcome.id)
        self.store.finish(outcome)
        after = TrialView(
            before.id, before.arm, before.generation, before.index, outcome.state, before.params,
            outcome.value, outcome.best_epoch, outcome.curve, outcome.losses, outcome.seconds,
            before.started, outcome.failure, outcome.costs,
        )  # fmt: skip
        self.history[before.arm][before.index] = after
        self.watcher.ended(after)

    def _park(self, arm: Arm) -> None:
        history = self.history[arm.name]
        recent = [history[number] for number in sorted(history)][-PARK_AFTER:]
        if len(recent) < PARK_AFTER or any(trial.state != "failed" for trial in recent):
            return
        self.parked.add(arm.name)
        self.store.set_arm(arm.name, parked=1)
        last = recent[-1].failure
        self.watcher.note(
            f"{arm.name} failed {PARK_AFTER} times in a row and gets no further trials; last: "
            f"{last.message if last else 'unknown'} (mmauto trials {self.config.name} --failed "
            "shows all; once that is mended, a search under another --name tries it again)"
        )
