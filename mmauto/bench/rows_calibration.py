"""The row on honesty: how often the verdict is wrong where the truth is known."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmauto.bench.row import Bench, Grid
from mmauto.bench.simulated import (
    FUSION,
    NULL,
    REFERENCE,
    WORLDS,
    Truth,
    claims_help,
    draw,
    expected,
)
from mmauto.tuning.crew import cores
from mmauto.views import Interval

SEEDS = 5
CASES = (("balanced_accuracy", 150), ("balanced_accuracy", 600), ("auroc", 150))
"""Metric, and test rows."""


@dataclass(frozen=True)
class Counted:
    """Over many studies of one world.

    Attributes:
        studies: how many.
        claims: share of them whose verdict says that fusion helps.
        score, gain: share of the 95 % intervals that hold the truth: of an arm's test metric, and
            of the difference between two arms (neither chosen by its result).
        gained: the true difference.
    """

    studies: int
    claims: float
    score: float
    gain: float
    gained: float


def count(world: str, rows: int, metric: str, studies: int) -> Counted:
    """Draw studies and look what they say."""
    truth = WORLDS[world]
    fusion, single = (
        expected(truth.skills[name], metric, truth.luck) for name in (FUSION, REFERENCE)
    )
    one = partial(_look, truth, rows, metric, fusion, fusion - single)
    with ProcessPoolExecutor(cores(), initializer=_alone) as pool:
        each = list(pool.map(one, range(studies), chunksize=10))
    claims, scores, gains = zip(*each, strict=True)
    known = [held for held in gains if held is not None]
    return Counted(
        studies, float(np.mean(claims)), float(np.mean(scores)), float(np.mean(known)),
        fusion - single,
    )  # fmt: skip


def _look(
    truth: Truth, rows: int, metric: str, score: float, gain: float, seed: int
) -> tuple[bool, bool, bool | None]:
    """Of one study: is help claimed, and do the intervals of a score and of a gain hold the truth.

    The gain is asked for where the reference is the arm whose true score it was made of.
    """
    found = draw(truth, rows, SEEDS, metric, seed)
    lines = {line.arm.name: line for line in found.standings}
    difference = lines[FUSION].difference if found.reference == REFERENCE else None
    held = None if difference is None else _holds(difference, gain)
    return claims_help(found), _holds(lines[FUSION].test, score), held


def _alone() -> None:
    """One thread a process: threads that wait for each other on busy cores are slow."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def calibration(bench: Bench) -> Grid:
    """Claims and coverage in every world."""
    studies = 6 if bench.quick else 200
    lines = []
    for metric, rows in CASES[: 1 if bench.quick else None]:
        for world in WORLDS:
            bench.say(f"{studies} studies: {world}, {rows} rows, {metric}")
            found = count(world, rows, metric, studies)
            kind = "false claims" if world in NULL else "power"
            lines.append(
                [
                    world, metric, f"{rows}", f"{found.gained:+.3f}",
                    f"{found.claims:.1%} ({kind})", f"{found.score:.1%}", f"{found.gain:.1%}",
                ]
            )  # fmt: skip
    return Grid(
        "calibration",
        f"How often the verdict says that fusion helps, and how often 95 % intervals hold the "
        f"truth, over {studies} simulated studies each",
        (
            "world", "metric", "test rows", "true gain", "\"fusion helps\"",
            "intervals of scores", "intervals of gains",
        ),
        lines,
        f"Studies drawn at the level of predictions: two single modalities, three fusions, {SEEDS} "
        "seeds; the fusion and its reference are chosen on validation rows of their own. Claims "
        "should stay below 5 % where there is nothing to claim, intervals hold the truth in 93 to "
        f"97 %. The standard error of a share near 5 % is {np.sqrt(0.05 * 0.95 / studies):.1%}.",
    )  # fmt: skip


def _holds(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high
