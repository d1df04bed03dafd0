"""The row on steps: what each of them brings by itself."""

from __future__ import annotations

from mmauto.bench.row import Bench, Grid
from mmauto.bench.steps import COLUMNS, REPEATS
from mmauto.bench.steps_encoding import decoding, forms, lengths
from mmauto.bench.steps_search import asking, storing
from mmauto.bench.steps_training import optimisers, threads

STEPS = (forms, lengths, decoding, optimisers, threads, storing, asking)


def steps(bench: Bench) -> Grid:
    """Each step without and with it, by the engine's own code."""
    return Grid(
        "steps",
        "what each step brings: the same work without it and with it",
        COLUMNS,
        [line for step in STEPS for line in step(bench)],
        f"Medians of {REPEATS} runs in turn, after one of each that is not counted. What is with a "
        "step is the code that a search runs. A step helps a search as far as its part of the "
        "search's time goes; packs, pruning and whole searches have rows of their own.",
    )
