"""Trials of one shape trained as a pack, against the same trials by our own loop one by one."""

from __future__ import annotations

import statistics
import time

from mmauto.bench.lab import Lab, Numbers
from mmauto.bench.measure import alternately
from mmauto.bench.row import Bench, Grid

SHAPES = (("concat_mlp", 32), ("concat_mlp", 128), ("cross_attention", 32))
COUNTS = (8, 32, 64)
SINGLES = 8
"""Trials that are timed one by one: their mean stands for all, which do the same work."""


def packed(bench: Bench) -> Grid:
    """Milliseconds a trial and epoch, both ways."""
    counts = COUNTS[: 1 if bench.quick else None]
    lab = Lab(bench.folder / "packed", bench.device)
    rows = []
    for fusion, width in SHAPES:
        for count in counts:
            bench.say(f"packed: {count} x {fusion}, width {width}")
            ours, alone, form = compare(lab, fusion, width, count, bench.sizes.repeats)
            goal = ">= 6" if width <= 32 else ">= 2.5"
            rows.append(
                [f"{fusion}, width {width}", str(count), f"{ours:.3g} ms", f"{alone:.3g} ms",
                 f"**{alone / ours:.2f}**", goal, form]
            )  # fmt: skip
    return Grid(
        "packed",
        "an epoch of K trials of one shape as a pack, against our own loop one by one",
        ("shape", "K", "packed, a trial", "alone, a trial", "ratio", "goal", "form"),
        rows,
        "1,400 rows of one 512-wide and one 256-wide frozen token, batches of 64, one thread, "
        "validation on 300 rows included; trials differ in learning rate, weight decay and "
        f"dropout. One by one: the mean of {SINGLES} of the trials. Medians. At width 128 most of "
        "the time alone is matrix products already, which a pack does at the same rate.",
    )


def compare(
    lab: Lab, fusion: str, width: int, count: int, repeats: int
) -> tuple[float, float, str]:
    """Milliseconds a trial and epoch: packed, and one by one; and the form that was taken."""
    trials = [Numbers(1e-3 * 1.03**n, 1e-2, 0.5 * (n % 8) / 8) for n in range(count)]
    epochs = repeats + 1
    pack = lab.pack(fusion, width, trials, epochs)
    singles = [lab.pack(fusion, width, [own], epochs) for own in trials[:SINGLES]]

    def together() -> float:
        start = time.perf_counter()
        pack.epoch()
        return 1e3 * (time.perf_counter() - start) / count

    def one_by_one() -> float:
        start = time.perf_counter()
        for single in singles:
            single.epoch()
        return 1e3 * (time.perf_counter() - start) / len(singles)

    together(), one_by_one()  # the first epoch warms up
    ours, theirs = alternately(repeats, together, one_by_one)
    return statistics.median(ours), statistics.median(theirs), pack.form.name
