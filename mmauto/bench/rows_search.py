"""The rows on whole searches: cold, warm, what the framework costs, and searching again."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.bench.baselines import TEXT_FEATURES, parts
from mmauto.bench.data import CLASSES
from mmauto.bench.measure import Ran, alternately, run
from mmauto.bench.ours import Found, between, spent, training_flops
from mmauto.bench.row import Bench, Row

IMAGE_FEATURES = 512
IN_TURN = "Run in turn with the baseline; medians."


def search(bench: Bench) -> Row:
    """A whole cold search against the loop that decodes and encodes in every epoch."""
    sizes = bench.sizes
    table = str(bench.table)
    epochs = 1 if bench.device == "cpu" else 3  # the first on a GPU chooses its kernels

    def baseline() -> float:
        bench.say("the tutorial's loop, one trial")
        workers = min(bench.machine.cores, 8)
        _, found = _loop(
            bench,
            "tutorial",
            table=table,
            trials=1,
            epochs=epochs,
            workers=workers,
            side=sizes.side,
        )
        return sizes.trials * sizes.epochs * float(min(found["epochs"]))

    colds, theirs = alternately(sizes.repeats, bench.cold, baseline)
    ours = [found.ran.seconds for found in colds]
    middle = _middle(colds)
    confirmation = spent(middle).confirmation
    return Row(
        "search",
        f"{sizes.trials} trials of one fusion x {sizes.epochs} epochs, {sizes.rows} samples of "
        f"image and text, frozen ResNet-18 at {sizes.side} px, encoding included: `mmauto search` "
        "with an empty cache against a PyTorch loop with Optuna",
        statistics.median(ours), statistics.median(theirs), "s",
        statistics.median(theirs) / statistics.median(ours), ">= 500",
        f"{IN_TURN} The baseline is EXTRAPOLATED: one trial-epoch (fastest of {epochs}) times "
        f"{sizes.trials * sizes.epochs}; its imports, Optuna and text are left out. Ours is the "
        f"whole process: imports, data checks, encoding of all splits, search without pruning or "
        f"early stopping, confirmation with one seed ({confirmation:.1f} s), report.",
        {"ours": ours, "baseline": theirs},
        {
            **where(middle),
            "peak memory of the process tree": f"{middle.ran.peak / 2**30:.2f} GiB",
            "matrix rate in training": _reached(bench, middle),
        },
    )  # fmt: skip


def warm(bench: Bench) -> Row:
    """The same search on cached features against a DataLoader over tensors in memory."""
    sizes = bench.sizes
    features = bench.folder / "features.npz"
    _save_features(features, sizes.rows)
    times = sizes.trials / sizes.baseline_trials

    def baseline() -> tuple[float, float]:
        bench.say(f"the loop over tensors in memory, {sizes.baseline_trials} trials")
        ran, found = _loop(
            bench, "in_memory", features=str(features), trials=sizes.baseline_trials,
            epochs=sizes.epochs,
        )  # fmt: skip
        return ran.seconds, found["seconds"]

    warms, pairs = alternately(sizes.repeats, bench.warm, baseline)
    ours = [found.ran.seconds for found in warms]
    # what does not repeat with each trial (imports, reading) is counted once
    theirs = [whole - inside + times * inside for whole, inside in pairs]
    mine, other = statistics.median(ours), statistics.median(theirs)
    bare_mine, bare_other = mine - bench.start_up, other - bench.start_up
    return Row(
        "warm",
        "the same search with its features cached against the same features as tensors in "
        "memory, DataLoader(TensorDataset) and Optuna's SQLite storage",
        mine, other, "s", other / mine, ">= 10",
        f"{IN_TURN} Both are whole processes. The baseline is EXTRAPOLATED from "
        f"{sizes.baseline_trials} trials, times {times:g} (its sampler would slow down with more). "
        "It has the shapes of "
        "our features and drawn values, no adapters, no checks, no confirmation and no report.",
        {"ours": ours, "baseline": theirs},
        {
            "start-up (importing torch and Optuna)": f"{bench.start_up:.2f} s",
            "without start-up": f"{bare_mine:.2f} s against {bare_other:.2f} s, "
            f"{bare_other / bare_mine:.1f}x",
            **where(_middle(warms)),
            "peak memory of the process tree": f"{_middle(warms).ran.peak / 2**30:.2f} GiB",
        },
    )  # fmt: skip


def framework(bench: Bench) -> Row:
    """What a trial costs beside its own work."""
    found = [between(bench.warm_with_one_worker(n)) for n in range(bench.sizes.repeats)]
    outside, whole = (
        statistics.median(values)
        for values in zip(*((took.outside, took.wall) for took in found), strict=True)
    )
    share = statistics.median(took.outside / took.wall for took in found)
    trials = found[0].trials
    return Row(
        "framework",
        "asking, messages between processes, reports, telling and storing, a trial, against the "
        "whole time of a trial",
        1000 * outside / trials, 1000 * whole / trials, "ms", share,
        "<= 5 ms and <= 0.03 (share)",
        f"Medians of {len(found)} run(s) of the warm search with one worker and one arm: trials "
        "come one after another. From "
        f"the second generation's first word to confirmation ({trials} trials): wall time, "
        "less the seconds that the executor spent inside of trials, as stored. The first "
        "generation is left out because it waits for the worker to read its data.",
        {
            "outside of trials, s": [took.outside for took in found],
            "wall, s": [took.wall for took in found],
        },
        {
            "outside of trials in the first generation":
                f"{statistics.median(took.first for took in found):.2f} s",
        },
    )  # fmt: skip


def second(bench: Bench) -> Row:
    """What encoding costs a second search on the same data."""
    first = bench.colds or [bench.cold()]
    again = bench.warms or [bench.warm()]
    once = [spent(found).encoding for found in first]
    then = [spent(found).encoding for found in again]
    mine, other = statistics.median(then), statistics.median(once)
    return Row(
        "second",
        "seconds for features in a second search on the same data against the first search",
        mine, other, "s", mine / other, "<= 0.01",
        "Both from the studies' databases: worker-seconds until features are there, as each trial "
        "tells them. So they hold all that comes before: importing libraries, fitting the "
        "vocabulary, looking the samples up in the cache and mapping its files.",
        {"ours": then, "baseline": once},
    )  # fmt: skip


def where(found: Found) -> dict[str, str]:
    """Shares of the wall time and of the workers' time while they search; what is beside it."""
    took = asdict(spent(found))
    beside = "of the coordinator, beside the workers' time"
    wall = ("start", "search", "confirmation", "report")
    busy = ("encoding", "training", "evaluation", "ending", "idle")
    return {
        "wall time": _shares({name: took[name] for name in wall}),
        f"search, {found.workers} worker(s)": _shares({name: took[name] for name in busy}),
        "store": f"{took['store']:.2f} s {beside}, most of it behind the search",
        "asking": f"{took['asking']:.2f} s {beside}",
    }


def _shares(parts: dict[str, float]) -> str:
    total = sum(parts.values())
    return ", ".join(f"{name} {s:.1f} s ({s / total:.0%})" for name, s in parts.items())


def _middle(found: list[Found]) -> Found:
    """The run of median length."""
    return sorted(found, key=lambda one: one.ran.seconds)[len(found) // 2]


def _loop(bench: Bench, name: str, **settings: Any) -> tuple[Ran, dict[str, Any]]:
    """A baseline in a process of its own, with a database of its own."""
    storage = bench.folder / "optuna.db"
    storage.unlink(missing_ok=True)
    given = {"storage": str(storage), "device": bench.device, **settings}
    command = [sys.executable, "-m", "mmauto.bench.baselines", name, json.dumps(given)]
    ran = run(command)
    return ran, json.loads(ran.output.splitlines()[-1])


def _save_features(path: Path, rows: int) -> None:
    source = np.random.default_rng(0)
    np.savez(
        path,
        image=source.normal(size=(rows, IMAGE_FEATURES)).astype(np.float32),
        text=source.normal(size=(rows, TEXT_FEATURES)).astype(np.float32),
        label=source.integers(CLASSES, size=rows),
    )


def _reached(bench: Bench, found: Found) -> str:
    """The rate of the training loops as a share of what matrix products reach here."""
    train, valid = (len(part) for part in parts(bench.sizes.rows))
    flops = training_flops(found, IMAGE_FEATURES + TEXT_FEATURES, train, valid)
    rate = flops / spent(found).training / 1e9
    if bench.device != "cpu":
        most = next(r for r in bench.machine.rates if r.device != "cpu" and r.dtype == "bf16")
    else:
        most = next(r for r in bench.machine.rates if r.dtype == "fp32" and r.threads == 1)
    return (
        f"{rate:.1f} of {most.gflops:.1f} GFLOP/s ({most.dtype}, {most.threads or 'all'} "
        f"thread(s)), {rate / most.gflops:.0%}; validation and metrics are in the time"
    )
