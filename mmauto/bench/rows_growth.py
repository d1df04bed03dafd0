"""The row on growth: how time and memory follow samples, trials and arms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmauto.bench.data import make_table
from mmauto.bench.ours import Found, equal_work, search, spent, trials_of, weights
from mmauto.bench.row import Bench, Grid

EPOCHS = 2
SIDE = 128
COLUMNS = (
    "what grows", "samples", "trials", "arms", "whole s", "search s", "encoding s",
    "confirmation s", "ms a sample", "ms a trial", "of it in training", "weights a trial",
    "asking, ms a trial", "memory GiB", "weights at once", "times the base",
)  # fmt: skip

REASONS = {
    "samples": "reading, encoding and each epoch touch every sample once; starting, importing and "
    "building models do not, so that a sample takes less the more there are, and training becomes "
    "most of a trial. Memory hardly grows: pictures are decoded in parts, features mapped from "
    "files",
    "trials": "each trains by itself. What happens once (the worker's start; how packs train "
    "fastest, whenever new shapes are met) is shared by more of them, so that a trial takes less; "
    "then more, as the sampler turns to larger heads. The first generation is random; from "
    "then on a question costs the same, since the sampler is told a fixed number of trials. Memory "
    "is that of the generation in training, 20 bytes a weight: itself, its gradient, two moments, "
    "the best state. More generations have a larger largest one, no more than that",
    "arms": "each has trials of its own, and is confirmed, saved and timed once. They are alike "
    "here, so that how their packs train fastest is measured once for all, and a trial takes less. "
    "A worker trains one arm's generation at a time, so that memory stays",
}
"""What the time along a dimension consists of."""


@dataclass(frozen=True)
class Step:
    """One search; ``trials`` is per arm."""

    samples: int
    trials: int
    arms: int


def growth(bench: Bench) -> Grid:
    """One search a step; each dimension grows from the same base while the others stay."""
    steps = {name: list(values) for name, values in bench.sizes.growth.items()}
    base = Step(
        bench.sizes.growth_rows * steps["samples"][0], steps["trials"][0] // steps["arms"][0],
        steps["arms"][0],
    )  # fmt: skip
    tables: dict[int, Path] = {}
    done: dict[Step, Found] = {}
    lines = []
    for name, values in steps.items():
        for value in values:
            rows = bench.sizes.growth_rows
            size: Any = {"samples": value * rows, "trials": value // base.arms}.get(name, value)
            step = replace(base, **{name: size})
            if step not in done:
                bench.say(f"growth: {step}")
                done[step] = _run(bench, step, tables, len(done))
            lines.append((name, step))
    return Grid(
        "growth",
        "how time and memory follow samples, trials and arms",
        COLUMNS,
        [_line(name, step, done[step], done[base]) for name, step in lines],
        "Each line is one search in a process of its own with an empty cache and one worker, "
        f"frozen ResNet-18 at {SIDE} px and TF-IDF, {EPOCHS} epochs; one run a line, no medians. A "
        "sample's time is the encoding, as trials tell it; a trial's is the search's worker time "
        "without encoding. Weights are those that are trained: in the mean, and in the generation "
        "that has most of them. "
        "The last column is the whole time over that of each dimension's first line. Memory is the "
        "peak of the process tree, shared pages counted once.\n\nThe reason of each slope:\n\n"
        + "\n".join(f"- {name}: {reason}" for name, reason in REASONS.items()),
    )


def _run(bench: Bench, step: Step, tables: dict[int, Path], number: int) -> Found:
    if step.samples not in tables:
        folder = bench.folder / f"growth-{step.samples}"
        tables[step.samples] = make_table(folder, step.samples, (128, 160))
    cache = bench.folder / f"cache-growth-{number}"
    folder = bench.folder / "studies" / f"growth-{number}"
    return short(bench, tables[step.samples], folder, cache, step.trials, step.arms, 1)


def short(
    bench: Bench, table: Path, folder: Path, cache: Path, trials: int, arms: int, workers: int
) -> Found:
    """A search of short trials, so many an arm; all arms are alike."""
    settings = {
        "arms": {f"arm{number}": {"fusion": "concat_mlp"} for number in range(arms)},
        **equal_work(trials, EPOCHS, SIDE, bench.device),
    }
    return search(table, folder, cache, workers, settings)


def _line(name: str, step: Step, found: Found, base: Found) -> list[str]:
    took, trials = spent(found), trials_of(found)
    loops = took.training + took.evaluation
    inside = loops + took.ending + took.idle
    each, at_once = weights(found)
    return [
        name, str(step.samples), str(trials), str(step.arms),
        f"{found.ran.seconds:.1f}", f"{took.search:.1f}", f"{took.encoding:.1f}",
        f"{took.confirmation:.1f}",
        f"{1000 * took.encoding / step.samples:.1f}", f"{1000 * inside / trials:.0f}",
        f"{loops / inside:.0%}", f"{each / 1e3:.0f} k", f"{1000 * took.asking / trials:.1f}",
        f"{found.ran.peak / 2**30:.2f}", f"{at_once / 1e6:.1f} M",
        f"{found.ran.seconds / base.ran.seconds:.2f}",
    ]  # fmt: skip
