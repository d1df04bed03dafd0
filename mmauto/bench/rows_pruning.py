"""Epochs that pruning saves, and what it costs, against the same trials without pruning."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from mmauto.bench.lab import ROWS, Lab, Numbers
from mmauto.bench.row import Bench, Row
from mmauto.config import StudyConfig
from mmauto.tuning.replay import replay

WIDTHS = (32, 64, 128, 64)
BATCH = 64


def pruning(bench: Bench) -> Row:
    """Train every trial in full, then replay the default pruner on the stored curves."""
    usual = StudyConfig()
    seeds, trials = (2, 16) if bench.quick else (10, 64)
    epochs = 4 if bench.quick else usual.epochs
    saved, stopped, regrets = [], [], []
    for seed in range(seeds):
        bench.say(f"pruning: {trials} trials in full, seed {seed + 1} of {seeds}")
        curves = _curves(Lab(bench.folder / "packed", bench.device, seed), seed, trials, epochs)
        size = usual.generation
        generations = [curves[start : start + size] for start in range(0, trials, size)]
        found = replay(generations, True, math.ceil(ROWS / BATCH), epochs)
        saved.append(found.saved)
        regrets.append(100 * found.regret)
        stopped.append(found.full / sum(_patient(curve, usual.patience) for curve in curves))
    within = sum(regret <= 0.2 for regret in regrets)
    return Row(
        "pruning",
        f"epochs of {trials} trials trained to the end, against those that the pruner would run",
        statistics.fmean(saved), 1.0, "x", statistics.fmean(saved), ">= 4 x within 0.2 points",
        f"Mean over {seeds} seeds of data and candidates; {trials} candidates in generations of "
        f"{usual.generation}, packs of {usual.pack}, {epochs} epochs, no early stopping; regret is "
        "the difference in validation balanced accuracy between the best trial of all and the one "
        "that the pruned search would confirm.",
        {"epochs saved": saved, "regret in points": regrets},
        {
            "mean regret": f"{statistics.fmean(regrets):.2f} points",
            "seeds within 0.2 points": f"{within} of {seeds}",
            "early stopping alone saves": f"{statistics.fmean(stopped):.2f} x",
        },
    )  # fmt: skip


def _curves(lab: Lab, seed: int, trials: int, epochs: int) -> list[list[float]]:
    """Validation curves of random candidates, a pack of four after another."""
    source, found = random.Random(seed), []
    size = StudyConfig().pack
    for start in range(0, trials, size):
        numbers = [
            Numbers(10 ** source.uniform(-4, -2), 10 ** source.uniform(-4, -1), source.random() / 2)
            for _ in range(min(size, trials - start))
        ]
        pack = lab.pack("concat_mlp", source.choice(WIDTHS), numbers, epochs)
        for _ in range(epochs):
            pack.epoch()
        found += [slot.curve for slot in pack.slots]
    return found


def _patient(curve: Sequence[float], patience: int) -> int:
    """Epochs that early stopping would have run."""
    best = 0
    for epoch, value in enumerate(curve):
        if value > curve[best]:
            best = epoch
        if epoch - best >= patience:
            return epoch + 1
    return len(curve)
