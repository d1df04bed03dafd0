"""What a row of the benchmark is, and what all rows share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from mmauto.bench.data import make_table
from mmauto.bench.machine import Machine
from mmauto.bench.measure import run
from mmauto.bench.ours import Found, equal_work, search


@dataclass(frozen=True)
class Row:
    """One comparison: medians of two things that ran in turn.

    Attributes:
        what: the two things, in words.
        ours, baseline: medians in ``unit``; every run is in ``runs``.
        ratio: how many times as fast we are, unless ``goal`` says what it is.
        goal: what it should be, on two CPU cores.
        note: how it was measured, what is extrapolated, what is left out.
        runs: each figure before the median.
        figures: what else was measured, name -> figure with its unit.
    """

    name: str
    what: str
    ours: float
    baseline: float
    unit: str
    ratio: float
    goal: str
    note: str
    runs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """A table of several runs that are compared with each other rather than with a baseline."""

    name: str
    what: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


@dataclass(frozen=True)
class Sizes:
    """How large the benchmark is.

    Attributes:
        rows: samples of the table.
        pixels: least and greatest side of its pictures.
        side: pixels that the ResNet reads, ours and the baseline's.
        trials, epochs: of the searches.
        baseline_trials: trials of the baseline whose trials are all alike; the rest is multiplied.
        repeats: how often two things run in turn.
        trained_rows, trained_epochs: of the row with trained encoders.
        growth_rows: samples at 1x.
        growth: dimension -> its steps; all searches but those along it are at the first one.
    """

    rows: int
    pixels: tuple[int, int]
    side: int
    trials: int
    epochs: int
    baseline_trials: int
    repeats: int
    trained_rows: int
    trained_epochs: int
    growth_rows: int
    growth: Mapping[str, tuple[int, ...]]


FULL = Sizes(
    2000, (256, 300), 224, 64, 9, 8, 3, 2000, 4, 500,
    {"samples": (1, 4, 16), "trials": (10, 100, 1000), "arms": (2, 8, 32)},
)  # fmt: skip
QUICK = Sizes(
    120, (140, 160), 128, 4, 2, 2, 1, 100, 1, 60,
    {"samples": (1,), "trials": (2,), "arms": (1,)},
)  # fmt: skip


@dataclass
class Bench:
    """What rows share: sizes, a folder, the machine, and the searches that several rows read.

    Attributes:
        device: ``cpu`` or ``cuda[:n]``.
        say: receives what is going on.
    """

    folder: Path
    device: str
    workers: int
    machine: Machine
    sizes: Sizes = FULL
    say: Callable[[str], None] = lambda text: None
    colds: list[Found] = field(default_factory=list)
    warms: list[Found] = field(default_factory=list)

    @property
    def quick(self) -> bool:
        """Only to see that everything works."""
        return self.sizes is QUICK

    @cached_property
    def table(self) -> Path:
        """The data on disk, the same files for us and for the baselines."""
        self.say(f"drawing {self.sizes.rows} pictures and texts")
        return make_table(self.folder / "data", self.sizes.rows, self.sizes.pixels)

    def cold(self) -> Found:
        """A search with an empty cache."""
        place = f"cold-{len(self.colds)}"
        self.say(f"our search, cold ({place})")
        self.colds.append(self._search(place, self.folder / f"cache-{len(self.colds)}"))
        return self.colds[-1]

    def warm(self) -> Found:
        """The same search on the cache that a cold one has left."""
        if not self.colds:
            self.cold()
        place = f"warm-{len(self.warms)}"
        self.say(f"our search, warm ({place})")
        self.warms.append(self._search(place, self.folder / "cache-0"))
        return self.warms[-1]

    def warm_with_one_worker(self, number: int) -> Found:
        """The warm search with a single worker and two generations at least; no other row reads it.

        With one arm and one worker, trials come one after another.

        Args:
            number: of the run.
        """
        if not self.colds:
            self.cold()
        self.say(f"our search, warm, one worker (run {number + 1})")
        trials = max(self.sizes.trials, 16)
        return self._search(
            f"one-worker-{number}",
            self.folder / "cache-0",
            1,
            trials=trials,
            generation=trials // 2,
        )

    def _search(self, name: str, cache: Path, workers: int | None = None, **more: Any) -> Found:
        sizes = self.sizes
        settings = {
            "fusions": ["concat_mlp"],
            **equal_work(sizes.trials, sizes.epochs, sizes.side, self.device),
            **more,
        }
        return search(
            self.table, self.folder / "studies" / name, cache, workers or self.workers, settings
        )

    @cached_property
    def start_up(self) -> float:
        """Seconds of a process that does nothing but import torch and Optuna; the median of 3."""
        import sys

        command = [sys.executable, "-c", "import torch, optuna, optuna.storages"]
        return statistics.median(run(command).seconds for _ in range(3))


Maker: TypeAlias = Callable[[Bench], Row | Grid]
"""Measures one row."""
