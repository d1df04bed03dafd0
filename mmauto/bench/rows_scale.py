"""The row on scale: what a trial costs the coordinator, and what that allows on paper."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np

from mmauto.bench.row import Bench, Grid
from mmauto.config import StudyConfig, from_mapping
from mmauto.engine.jobs import Candidate, Outcome, TrialJob
from mmauto.registry import load_registry
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm, make_arms
from mmauto.tuning.sampler import ask, start_up
from mmauto.tuning.team import LEAST_PIECE
from mmauto.values import TargetSpec, TaskView
from mmauto.views import TrialView

COLUMNS = ("workers", "trials a second", "coordinator busy", "limited by", "10^5 trials take h")
WORKERS = (10, 100, 1000)
LASTS = 10.0
"""Seconds of a worker for a trial, on paper."""

EPOCHS, NUMBERS, CLASSES, VALID = 20, 20, 5, 300
SPEC = TargetSpec("y", "multiclass", ("a", "b", "c", "d", "e"))
TASK = TaskView("scale", {"image": "image", "text": "text"}, {"y": SPEC}, "y", "accuracy")


@dataclass(frozen=True)
class Costs:
    """Milliseconds that a trial takes of the one coordinator, in threads that share a processor.

    Attributes:
        ask: of the sampler, with so many trials stored.
        store: beginning, 20 epochs and the outcome of a trial, until all is on disk.
        talk: a job, an outcome and their predictions, packed and unpacked.
    """

    ask: float
    store: float
    talk: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.ask + self.store + self.talk


def scale(bench: Bench) -> Grid:
    """Unit costs with few and with many trials stored, and the table that follows from them."""
    many = 400 if bench.quick else 100_000
    arm, config = one_arm(many)
    job, outcome = _messages(arm)
    here, there = Pipe()

    def said() -> object:
        here.send(job)
        there.recv()
        there.send(outcome)
        return here.recv()

    talk = 1000 * _median(said)
    message = len(ForkingPickler.dumps(outcome)) / 2**10
    store = Filled(bench.folder / "scale")
    costs = []
    for size in (min(2_000, many // 2), many):
        bench.say(f"scale: {size:,} trials")
        store.fill(size)
        stored = history(arm, size)
        generation = range(size, size + config.generation)
        asked = _median(lambda s=stored, g=generation: ask(arm, config, True, s, g), 15)  # type: ignore[misc]
        costs.append(Costs(1000 * asked / config.generation, store.last, talk))
    start = time.perf_counter()
    read = len(store.store.trials())
    reading = time.perf_counter() - start
    size = store.size()
    store.store.close()
    few, last = costs
    return Grid(
        "scale",
        "what limits one coordinator with many workers, and a study of many trials",
        COLUMNS,
        [_line(workers, last) for workers in WORKERS],
        f"On paper, from costs measured on this machine; a trial takes {LASTS:g} s of a worker, "
        f"one core or a share of a GPU. A trial costs the coordinator {few.ask:.1f} ms of asking, "
        f"{few.store:.1f} ms of storing and {few.talk:.2f} ms of messages ({message:.0f} KiB an "
        f"outcome, {VALID} validation rows of {CLASSES} classes) with {min(2_000, many // 2):,} "
        f"trials stored, and {last.ask:.1f}, {last.store:.1f} and {last.talk:.2f} ms with "
        f"{many:,}. 10^5 trials are {size / 2**20 / read * 1e5:,.0f} MiB, database and "
        f"predictions, and {read:,} are read in {reading:.1f} s when a search goes on or is "
        "reported. The data itself goes to a node once, through the object store, and its features "
        "are shared there: they limit the start, not the rate. Up to the workers at which the "
        "coordinator is busy all the time, more of them are as many times faster; beyond, longer "
        "trials, or several studies with a coordinator each, use them. An arm keeps as many "
        f"workers busy as its generation has pieces of {LEAST_PIECE} trials: "
        f"{config.generation // LEAST_PIECE} with {config.generation} candidates, so that 100 "
        f"workers want {100 * LEAST_PIECE // config.generation} arms, or a larger --generation.",
    )


def one_arm(trials: int) -> tuple[Arm, StudyConfig]:
    """An arm whose space is that of a usual search, with so many trials."""
    config = from_mapping({"task": "medical", "fusions": ["concat_mlp"], "trials": trials})
    return make_arms(load_registry(), TASK, config, {})[0], config


def _line(workers: int, costs: Costs) -> list[str]:
    wanted, most = workers / LASTS, 1000 / costs.whole
    rate = min(wanted, most)
    parts = {"asking": costs.ask, "storing": costs.store, "messages": costs.talk}
    limit = "workers" if wanted <= most else f"{max(parts, key=lambda name: parts[name])}"
    return [
        f"{workers:,}", f"{rate:.0f}", f"{rate / most:.0%}", limit, f"{1e5 / rate / 3600:.1f}",
    ]  # fmt: skip


def _median(work: Callable[[], object], repeats: int = 101) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def history(arm: Arm, size: int) -> list[TrialView]:
    """So many finished trials of an arm."""
    source = np.random.default_rng(0)
    known = [start_up(arm, 0, place) for place in range(min(size, 500))]
    return [
        TrialView(
            n, arm.name, n // 32, n, "complete", known[n % len(known)], float(source.random()), 0,
            (0.5,) * EPOCHS,
        )
        for n in range(size)
    ]  # fmt: skip


def _messages(arm: Arm) -> tuple[TrialJob, Outcome]:
    candidate = Candidate("fusion", "concat_mlp", ("image", "text"), start_up(arm, 0, 0))
    return TrialJob(1, candidate, 0, EPOCHS, EPOCHS), _outcome(1)


def _outcome(identity: int) -> Outcome:
    valid = {"y": np.full((VALID, CLASSES), 1 / CLASSES, dtype=np.float32)}
    return Outcome(identity, "complete", 0.7, 1, (0.5,) * EPOCHS, (1.0,) * EPOCHS, 3.0, valid)


class Filled:
    """A study of one arm whose trials are written as a search writes them.

    Attributes:
        last: milliseconds a trial, of the last thousand.
    """

    def __init__(self, folder: Path):
        folder.mkdir()
        empty = {"y": np.zeros(VALID, dtype=int)}
        save_truth(
            folder, {"valid": empty, "test": empty}, {"valid": None, "test": None},
            {"valid": np.arange(VALID), "test": np.arange(VALID)},
        )  # fmt: skip
        self.store = StudyStore.create(folder, "scale", {"trials": 1}, TASK, {}, {}, "", [])
        self.count, self.last = 0, 0.0

    def fill(self, size: int) -> None:
        """Write trials until there are so many; the last thousand tell what one costs."""
        while self.count < size:
            start, step = time.perf_counter(), min(1000, size - self.count)
            self._write(range(self.count, self.count + step))
            self.store.flush()
            self.count += step
            self.last = 1000 * (time.perf_counter() - start) / step

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.store.folder.rglob("*") if file.is_file())

    def _write(self, numbers: Sequence[int]) -> None:
        params = {f"part/number_{n}": 0.1 * n for n in range(NUMBERS)}
        for first in range(0, len(numbers), 8):
            some = numbers[first : first + 8]
            fresh = [NewTrial("one", "search", n // 8, n, 0, params) for n in some]
            ids = self.store.begin(fresh)
            for epoch in range(EPOCHS):
                self.store.observe(epoch, dict.fromkeys(ids, 0.5))
            for identity in ids:
                self.store.finish(_outcome(identity))
