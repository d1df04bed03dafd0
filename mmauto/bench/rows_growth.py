"""The row on growth: how time and memory follow samples, trials, arms and workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmauto.bench.data import make_table
from mmauto.bench.ours import Found, equal_work, search, spent, trials_of
from mmauto.bench.row import Bench, Grid

EPOCHS = 2
SIDE = 128
COLUMNS = (
    "what grows", "samples", "trials", "arms", "workers", "whole s", "search s", "encoding s",
    "confirmation s", "ms a sample", "ms a trial", "of it in training",
    "memory GiB", "times the base",
)  # fmt: skip

REASONS = {
    "samples": "reading, encoding and each epoch touch every sample once; starting does not",
    "trials": "each trains by itself; the sampler reads all earlier trials of its arm, so that a "
    "question grows dearer with them",
    "arms": "each has trials of its own, and is confirmed, saved and timed once",
    "workers": "the cache is warm, so that the search is training alone; arms run side by side; "
    "each worker starts torch and holds what it reads",
}
"""What the time along a dimension consists of."""


@dataclass(frozen=True)
class Step:
    """One search; ``trials`` is per arm, ``cold`` begins with an empty cache."""

    samples: int
    trials: int
    arms: int
    workers: int
    cold: bool = True


def growth(bench: Bench) -> Grid:
    """One search a step; each dimension grows from the same base while the others stay."""
    steps = {name: list(values) for name, values in bench.sizes.growth.items()}
    base = Step(
        bench.sizes.growth_rows * steps["samples"][0], steps["trials"][0] // steps["arms"][0],
        steps["arms"][0], steps["workers"][0],
    )  # fmt: skip
    tables: dict[int, Path] = {}
    done: dict[Step, Found] = {}
    lines = []
    for name, values in steps.items():
        for value in values:
            rows = bench.sizes.growth_rows
            size: Any = {"samples": value * rows, "trials": value // base.arms}.get(name, value)
            step = replace(base, **{name: size})
            if name == "workers":  # enough trials that starting a worker pays
                step = replace(step, trials=steps["trials"][-1] // base.arms, cold=False)
            if step not in done:
                bench.say(f"growth: {step}")
                done[step] = _run(bench, step, tables, len(done))
            lines.append((name, step))
    return Grid(
        "growth",
        "how time and memory follow samples, trials, arms and workers",
        COLUMNS,
        [_line(name, step, done[step], done[base]) for name, step in lines],
        "Each line is one search in a process of its own with an empty cache, but for those on "
        f"workers, frozen ResNet-18 at {SIDE} px and TF-IDF, {EPOCHS} epochs; one run a line, no "
        "medians. A "
        "sample's time is the encoding; a trial's is the search's worker time without encoding. "
        "The last column is the whole time over that of each dimension's first line. Memory is the "
        "peak of the process tree, shared pages counted once.\n\nThe reason of each slope:\n\n"
        + "\n".join(f"- {name}: {reason}" for name, reason in REASONS.items()),
    )


def _run(bench: Bench, step: Step, tables: dict[int, Path], number: int) -> Found:
    if step.samples not in tables:
        folder = bench.folder / f"growth-{step.samples}"
        tables[step.samples] = make_table(folder, step.samples, (128, 160))
    cache = bench.folder / f"cache-growth-{number if step.cold else 0}"  # the base ran first
    folder = bench.folder / "studies" / f"growth-{number}"
    settings = {
        "arms": {f"arm{number}": {"fusion": "concat_mlp"} for number in range(step.arms)},
        **equal_work(step.trials, EPOCHS, SIDE, bench.device),
    }
    return search(tables[step.samples], folder, cache, step.workers, settings)


def _line(name: str, step: Step, found: Found, base: Found) -> list[str]:
    took, trials = spent(found), trials_of(found)
    loops = took.training + took.evaluation
    inside = loops + took.ending + took.idle
    return [
        name, str(step.samples), str(trials), str(step.arms), str(step.workers),
        f"{found.ran.seconds:.1f}", f"{took.search:.1f}", f"{took.encoding:.1f}",
        f"{took.confirmation:.1f}",
        f"{1000 * took.encoding / step.samples:.1f}", f"{1000 * inside / trials:.0f}",
        f"{loops / inside:.0%}", f"{found.ran.peak / 2**30:.2f}",
        f"{found.ran.seconds / base.ran.seconds:.2f}",
    ]  # fmt: skip
