"""Steps of the training loop: the fused optimiser, and one thread a process."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.bench.lab import Lab, Numbers
from mmauto.bench.machine import wait
from mmauto.bench.row import Bench
from mmauto.bench.steps import compared
from mmauto.tuning.crew import MOST_WORKERS, cores

if TYPE_CHECKING:
    from mmauto.engine.packed.form import Gradients
    from mmauto.engine.train import Pack

WIDTH, EPOCHS = 64, 3
PATIENCE = 300.0
"""Seconds that processes wait for each other before they give up."""


def optimisers(bench: Bench) -> list[list[str]]:
    """A training step with our fused update, against torch's two others."""
    lab = Lab(bench.folder / "steps", bench.device)
    steps = 5 if bench.quick else 100

    def pack() -> Pack:
        return lab.pack("concat_mlp", WIDTH, [Numbers()], 1)

    mine = pack()

    def fused(found: Gradients) -> None:
        mine.optimiser.step(found.slots, found.norms, 1.0)

    on = f"a step of concat_mlp, width {WIDTH}, forward and backward included, {bench.device}"
    lines = []
    for name, foreach in (("foreach", True), ("for-loop", False)):
        theirs = pack()
        update = _torch_update(theirs, foreach)
        lines.append(
            compared(
                bench, f"fused AdamW, against torch's {name}", on,
                lambda: _step(mine, fused, steps),
                lambda t=theirs, u=update: _step(t, u, steps),  # type: ignore[misc]
            )
        )  # fmt: skip
    return lines


def _step(pack: Pack, update: Callable[[Gradients], None], steps: int) -> float:
    """Milliseconds of a step."""
    index = pack.rows[: pack.size]
    arrays, present = pack.data.gather(index)
    batch = pack.data.batch(index, present, 0.0)
    pack.form.mode(True)
    wait(pack.setup.device)
    start = time.perf_counter()
    for _ in range(steps):
        update(pack.form.gradients(arrays, batch))
    wait(pack.setup.device)
    return 1e3 * (time.perf_counter() - start) / steps


def _torch_update(pack: Pack, foreach: bool) -> Callable[[Gradients], None]:
    """Clipping and AdamW as torch has them, with the decay that ours has."""
    import torch

    from mmauto.engine.optimise import CLIP
    from mmauto.engine.packed.form import trained

    own, params = trained(pack.slots[0].model), pack.slots[0].job.candidate.params
    decay = float(params["train/weight_decay"])
    groups = [
        {"params": [p for p in own if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups, lr=float(params["train/lr"]), foreach=foreach, fused=False
    )

    def update(found: Gradients) -> None:
        # its gradients are the parameters' own, see `Alone`
        torch.nn.utils.clip_grads_with_norm_(own, CLIP, found.norms[0], foreach=foreach)
        optimiser.step()

    return update


def threads(bench: Bench) -> list[list[str]]:
    """Processes that train small heads side by side, with a thread each and with more."""
    count = max(2, min(cores(), MOST_WORKERS))
    context = multiprocessing.get_context("spawn")
    given = context.Barrier(count), bench.folder / "steps"
    with ProcessPoolExecutor(count, context, _begin, given) as pool:

        def seconds(number: int) -> float:
            rounds = 1 if bench.quick else EPOCHS
            return statistics.median(pool.map(_epochs, [number] * count, [rounds] * count))

        return [
            compared(
                bench, f"one thread a process, against {count}",
                f"{count} processes at once, an epoch of concat_mlp each, width {WIDTH}, cpu",
                lambda: seconds(1), lambda: seconds(count),
            )
        ]  # fmt: skip


_here: dict[str, Any] = {}
"""Of a process of `threads`: its pack, and where it meets the others."""


def _begin(barrier: Any, folder: Path) -> None:
    pack = Lab(folder, "cpu").pack("concat_mlp", WIDTH, [Numbers()], 10_000)
    _here.update(pack=pack, barrier=barrier)


def _epochs(number: int, rounds: int) -> float:
    """Milliseconds of an epoch with so many threads, while the other processes do the same."""
    import torch

    torch.set_num_threads(number)
    _here["barrier"].wait(PATIENCE)
    start = time.perf_counter()
    for _ in range(rounds):
        _here["pack"].epoch()
    return 1e3 * (time.perf_counter() - start) / rounds
