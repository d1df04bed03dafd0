"""The row on workers: the same search by one and by two."""

from __future__ import annotations

import statistics

from mmauto.bench.data import make_table
from mmauto.bench.measure import alternately
from mmauto.bench.ours import Found, spent
from mmauto.bench.row import Bench, Row
from mmauto.bench.rows_growth import EPOCHS, short
from mmauto.bench.rows_search import IN_TURN, where

ARMS = 2


def workers(bench: Bench) -> Row:
    """Seconds from the first candidates to confirmation, on cached features."""
    trials = bench.sizes.growth["trials"][-1] // ARMS
    rows = bench.sizes.growth_rows
    table = make_table(bench.folder / "workers", rows, (128, 160))
    cache, made = bench.folder / "cache-workers", list[Found]()

    def run(count: int) -> Found:
        bench.say(f"{ARMS * trials} short trials, {count} worker(s)")
        folder = bench.folder / "studies" / f"workers-{len(made)}"
        made.append(short(bench, table, folder, cache, trials, ARMS, count))
        return made[-1]

    run(1)  # encodes, and measures how packs of each shape train fastest
    two, one = alternately(bench.sizes.repeats, lambda: run(2), lambda: run(1))
    mine, other = ([spent(found).search for found in runs] for runs in (two, one))
    whole = [statistics.median(found.ran.seconds for found in runs) for runs in (two, one)]
    return Row(
        "workers",
        f"{ARMS * trials} trials of {EPOCHS} epochs, {rows} samples, features cached: two workers "
        "against one",
        statistics.median(mine), statistics.median(other), "s",
        statistics.median(other) / statistics.median(mine), ">= 1.75",
        f"{IN_TURN} The search itself, from the first candidates stored to confirmation; waiting "
        f"for workers to start is in it. The whole command takes {whole[0]:.1f} s against "
        f"{whole[1]:.1f} s: preparing, confirming {ARMS} arms and reporting cost the same with any "
        "number of workers. A search that nobody counts goes first.",
        {"ours": mine, "baseline": other},
        {
            **where(one[-1]),
            **where(two[-1]),  # what both call the same is this one's
            "peak memory of the process tree": f"{two[-1].ran.peak / 2**30:.2f} GiB against "
            f"{one[-1].ran.peak / 2**30:.2f} GiB",
        },
    )  # fmt: skip
