"""Epochs that pruning saves, and what it costs, against the same trials without pruning."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from mmauto.bench.lab import ROWS, TEST, VALID, Lab, Numbers
from mmauto.bench.row import Bench, Row
from mmauto.config import StudyConfig
from mmauto.tuning.replay import replay

WIDTHS = (32, 64, 96, 128)
BATCH = 64
FIRST_SEED = 100
"""The pruner's settings were chosen on seeds 0 to 9 and 200 to 209, which cannot judge them."""


def pruning(bench: Bench) -> Row:
    """Train every trial in full, then replay the default pruner on the stored curves."""
    usual = StudyConfig()
    seeds, trials = (2, 16) if bench.quick else (10, 64)
    epochs = 4 if bench.quick else usual.epochs
    saved, stopped, valid, test = [], [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        bench.say(f"pruning: {trials} trials in full, seed {seed}")
        lab = Lab(bench.folder / "packed", bench.device, seed)
        curves, scores = _in_full(lab, seed, trials, epochs)
        size = usual.generation
        generations = [curves[start : start + size] for start in range(0, trials, size)]
        found = replay(generations, True, math.ceil(ROWS / BATCH), epochs)
        saved.append(found.saved)
        valid.append(100 * found.regret)
        full = max(range(trials), key=lambda trial: max(curves[trial]))
        test.append(100 * (scores[full] - scores[found.winner]))
        stopped.append(found.full / sum(_patient(curve, usual.patience) for curve in curves))
    error = statistics.stdev(test) / math.sqrt(seeds)
    return Row(
        "pruning",
        f"epochs of {trials} trials trained to the end, against those that the pruner would run",
        1.0, statistics.fmean(saved), "x the epochs", statistics.fmean(saved),
        ">= 4 x within 0.2 points",
        f"Mean over {seeds} seeds of data and candidates ({FIRST_SEED} to "
        f"{FIRST_SEED + seeds - 1}; the pruner's settings were chosen on others); "
        f"{trials} candidates in generations of "
        f"{usual.generation}, packs of {usual.pack}, {epochs} epochs, no early stopping. Lost is "
        "the balanced accuracy by which the trial that the pruned search would confirm is worse "
        f"than the best of all trials: on the {VALID} validation rows that both are chosen on, "
        "where the best of all is partly luck (a row is a third of a point), and on "
        f"{TEST:,} test rows, where it is not.",
        {"epochs saved": saved, "lost on validation": valid, "lost on test": test},
        {
            "lost on test, mean": f"{statistics.fmean(test):.2f} +- {error:.2f} points",
            "lost on validation, mean": f"{statistics.fmean(valid):.2f} points",
            "early stopping alone saves": f"{statistics.fmean(stopped):.2f} x",
        },
    )  # fmt: skip


def _in_full(
    lab: Lab, seed: int, trials: int, epochs: int
) -> tuple[list[list[float]], list[float]]:
    """Validation curves of random candidates, and each one's score on test at its best epoch.

    Trials of four shapes are trained in packs, then told in packs of the usual size.
    """
    from mmauto.engine.metrics import score
    from mmauto.engine.predict import predict

    source, size = random.Random(seed), StudyConfig().pack
    rows, found = lab.setup.splits.test, []
    for width in WIDTHS:
        numbers = [
            Numbers(10 ** source.uniform(-4, -2), 10 ** source.uniform(-4, -1), source.random() / 2)
            for _ in range(trials // len(WIDTHS))
        ]
        pack = lab.pack("concat_mlp", width, numbers, epochs)
        for _ in range(epochs):
            pack.epoch()
        for slot in pack.slots:
            given = predict(slot.rewind(), lab.data, lab.loss, rows)["y"]
            truth, spec = lab.setup.targets["y"][rows], lab.setup.specs["y"]
            found.append((slot.curve, score(lab.setup.metric, spec, truth, given)))
    packs = [found[start : start + size] for start in range(0, trials, size)]
    source.shuffle(packs)
    told = [trial for pack in packs for trial in pack]
    return [curve for curve, _ in told], [value for _, value in told]


def _patient(curve: Sequence[float], patience: int) -> int:
    """Epochs that early stopping would have run."""
    best = 0
    for epoch, value in enumerate(curve):
        if value > curve[best]:
            best = epoch
        if epoch - best >= patience:
            return epoch + 1
    return len(curve)
