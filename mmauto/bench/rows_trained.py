"""The row on trained encoders: seconds an epoch against a bare PyTorch loop of the same model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from mmauto.bench.data import make_table
from mmauto.bench.measure import alternately
from mmauto.bench.ours import CONTROLS, SINGLES
from mmauto.bench.row import Bench, Row
from mmauto.tuning.crew import cores

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mmauto.engine.jobs import Candidate, Setup
    from mmauto.registry import Registry

SPACE = {"image/small_cnn/width": 32, "image/small_cnn/depth": 4, "image/small_cnn/augment": False}
BATCH = 64


@dataclass(frozen=True)
class Work:
    """One candidate with its data, ready to train."""

    setup: Setup
    registry: Registry
    candidate: Candidate
    epochs: int


def trained(bench: Bench) -> Row:
    """Our executor against a bare loop, both in this process, on all cores, data in memory."""
    work = prepared(bench)
    ours, pairs = alternately(
        bench.sizes.repeats, lambda: executor(bench, work), lambda: bare_pair(bench, work)
    )
    mine = [second for run in ours for second in run]
    plain = [second for run, _ in pairs for second in run]
    brief = [second for _, run in pairs for second in run]
    median, whole, half = (statistics.median(found) for found in (mine, plain, brief))
    return Row(
        "trained",
        f"an epoch of small_cnn + gru + concat_mlp, all trained, {bench.sizes.trained_rows} "
        "samples, 64 px: the executor against a bare loop of the same modules",
        median, min(whole, half), "s", median / min(whole, half), "<= 1.05 (time, not speed)",
        f"Medians over {len(mine)} epoch(s) of {bench.sizes.repeats} run(s) in turn, the first "
        "epoch of each run left out; validation is in both, with the same batch size, optimiser, "
        "schedule and clipping. Ours is in the precision that the engine chooses by itself; the "
        "baseline is the faster of two bare loops, fp32 and bf16 with channels-last, so that "
        "neither side gains by precision alone.",
        {"ours": mine, "bare loop, fp32": plain, "bare loop, bf16 and channels-last": brief},
        {
            "ours against the bare loop in fp32 (goal >= 1.6 where the engine takes bf16)":
                f"{whole / median:.2f}x as fast",
            "ours against the bare loop in bf16 and channels-last":
                f"{half / median:.2f}x as fast",
        },
    )  # fmt: skip


def prepared(bench: Bench) -> Work:
    """The data read as a search reads it, and the arm's default candidate."""
    from mmauto.config import from_mapping
    from mmauto.registry import load_registry
    from mmauto.tuning.arms import make_arms
    from mmauto.tuning.prepare import prepare

    folder = bench.folder / "trained"
    bench.say("reading the data of the trained encoders")
    table = make_table(folder, bench.sizes.trained_rows, (64, 80))
    config = from_mapping(
        {
            "data": str(table), "image": "image", "text": "text", "target": "label",
            "encoders": ["small_cnn", "gru"], "fusions": ["concat_mlp"],
            "exclude": [*SINGLES, *CONTROLS], "space": {**SPACE, "train/batch_size": BATCH},
        }
    )  # fmt: skip
    registry = load_registry()
    ready = prepare(config, registry, bench.device)
    cache = str(bench.folder / "cache-trained")
    setup = replace(ready.setup, cache=cache, training_threads=cores())
    (arm,) = make_arms(registry, ready.task, config)
    return Work(setup, registry, arm.candidate({}), bench.sizes.trained_epochs)


def executor(bench: Bench, work: Work) -> list[float]:
    """Seconds of each epoch but the first, between two reports of the executor."""
    from mmauto.engine.executor import Executor
    from mmauto.engine.jobs import TrialJob

    bench.say("trained encoders, ours")
    ends: list[float] = []

    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        ends.append(time.perf_counter())
        return dict.fromkeys(values, True)

    epochs = work.epochs + 1
    job = TrialJob(0, work.candidate, seed=0, epochs=epochs, patience=epochs)
    Executor(work.setup, work.registry).run_pack([job], report)
    return [after - before for before, after in pairwise(ends)]


def bare_pair(bench: Bench, work: Work) -> tuple[list[float], list[float]]:
    """The bare loop in fp32, and in bf16 with channels-last."""
    bench.say("trained encoders, the bare loop")
    return bare_loop(work, brief=False), bare_loop(work, brief=True)


def bare_loop(work: Work, brief: bool) -> list[float]:
    """What one would write by hand for this model and nothing else.

    Args:
        brief: bf16 autocast and channels-last pictures.

    Returns:
        Seconds of each epoch but the first.
    """
    import torch
    from torch import nn

    setup, device = work.setup, torch.device(work.setup.device)
    torch.set_num_threads(setup.training_threads)
    torch.manual_seed(0)
    model, arrays = bare_model(work, device)
    if brief:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    labels = torch.from_numpy(setup.targets[setup.primary]).to(device)
    train, valid = (
        torch.from_numpy(rows).to(device) for rows in (setup.splits.train, setup.splits.valid)
    )
    params, epochs = work.candidate.params, work.epochs + 1
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=float(params["train/lr"]),
        weight_decay=float(params["train/weight_decay"]),
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, epochs * -(-len(train) // BATCH)
    )
    seconds = []

    def outputs(rows: torch.Tensor) -> torch.Tensor:
        batch = {key: {name: a[rows] for name, a in part.items()} for key, part in arrays.items()}
        if brief:
            pixels = batch["image"]["pixels"]
            batch["image"]["pixels"] = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=brief):
            found: torch.Tensor = model(batch)
        return found

    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for rows in torch.split(train[torch.randperm(len(train), device=device)], BATCH):
            loss = nn.functional.cross_entropy(outputs(rows).float(), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            right = [
                (outputs(rows).argmax(1) == labels[rows]).sum() for rows in torch.split(valid, 512)
            ]
        float(sum(right))  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def bare_model(
    work: Work, device: torch.device
) -> tuple[nn.Module, dict[str, dict[str, torch.Tensor]]]:
    """The plugins' modules with a projection between them, and their arrays on the device."""
    import torch
    from torch import nn

    from mmauto.engine.adapters import LinearHeads
    from mmauto.values import FeatureSpec, Tokens

    setup, chosen = work.setup, work.candidate
    width, primary = int(chosen.params["adapter/width"]), setup.primary
    encoders, projections, specs, arrays = nn.ModuleDict(), nn.ModuleDict(), {}, {}
    for key in chosen.modalities:
        encoder, params = work.registry.encoder(chosen.encoder(key)), chosen.encoder_params(key)
        column = setup.dataset.columns[key]
        state = encoder.fit(column.take(setup.splits.train), params)
        spec = encoder.features(state, params)
        encoders[key] = encoder.build(state, params)
        projections[key] = nn.Sequential(nn.Linear(spec.dim, width), nn.LayerNorm(width))
        specs[key] = FeatureSpec(spec.tokens, width)
        raw = encoder.prepare(column, state, params)
        arrays[key] = {name: torch.as_tensor(a).to(device) for name, a in raw.items()}
    fusion = work.registry.fusion(chosen.component)
    end = fusion.build(specs, LinearHeads(setup.specs), chosen.own_params)

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoders, self.projections, self.end = encoders, projections, end

        def forward(self, arrays: Mapping[str, Mapping[str, torch.Tensor]]) -> torch.Tensor:
            tokens, present = {}, {}
            for key, part in arrays.items():
                given = self.encoders[key](**part)
                tokens[key] = Tokens(self.projections[key](given.values), given.mask)
                present[key] = torch.ones(len(given.mask), dtype=torch.bool, device=device)
            found: torch.Tensor = self.end(tokens, present).outputs[primary]
            return found

    return Bare().to(device), arrays
