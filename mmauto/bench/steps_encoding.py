"""Steps of encoding: forms of a network, texts of like length together, decoding once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmauto.bench.data import TABLE, make_table
from mmauto.bench.machine import wait
from mmauto.bench.row import Bench
from mmauto.bench.steps import compared
from mmauto.registry import load_registry
from mmauto.space import Params
from mmauto.tuning.crew import cores

if TYPE_CHECKING:
    from torch import Tensor

    from mmauto.engine.features import Features, Inputs

SHORT, LONG, LONG_ONE_IN = 32, 128, 8
BATCH = 64


def forms(bench: Bench) -> list[list[str]]:
    """A frozen network as built, against the form that the engine takes on this machine."""
    import torch

    from mmauto.engine.compat import mend_torchvision
    from mmauto.engine.forms import SAMPLE, chosen, shaped
    from mmauto.engine.once import BATCH as ROWS
    from mmauto.engine.once import PLAIN, once

    mend_torchvision()
    side = bench.sizes.side
    params: Params = {"weights": "random", "size": side, "grid": 1}
    encoder, device = load_registry().encoder("resnet18"), torch.device(bench.device)
    module = once(encoder, {"weights": ""}, params, device)
    assert module is not None, "random weights are frozen"
    rows, column = ROWS[device.type], _features(bench).setup.dataset.columns["image"]
    raw = encoder.prepare(column.take(np.resize(np.arange(len(column)), rows)), {}, params)
    batch = {name: torch.as_tensor(array).to(device) for name, array in raw.items()}
    form = PLAIN  # on CUDA, where bfloat16 is always taken
    if device.type == "cpu":
        few = {name: array[:SAMPLE] for name, array in batch.items()}
        form, _ = chosen(module, few, cores())
    formed = shaped(module, form, batch)
    how = form if device.type == "cpu" else "bf16"
    return [
        compared(
            bench, f"frozen ResNet-18 in the fastest form here ({how}), against fp32 as built",
            f"a picture of {side} px, {rows} at a time, {_threads(bench)}",
            lambda: _ms(bench, lambda: formed(**batch)) / rows,
            lambda: _ms(bench, lambda: module(**batch)) / rows,
        )
    ]  # fmt: skip


def lengths(bench: Bench) -> list[list[str]]:
    """Short texts among long ones: sorted by length, against batches as they come."""
    import torch

    from mmauto.engine.once import BATCH as ROWS
    from mmauto.engine.once import Formed, once, slices

    what = "texts of like length together, against batches padded to their longest"
    encoder = load_registry().encoder("minilm")
    if missing := encoder.missing():
        return [[what, "-", "-", "-", f"not measured: minilm: {missing}"]]
    device = torch.device(bench.device)
    module = once(encoder, {}, {"segments": 1}, device)
    assert module is not None, "minilm is frozen"
    size = ROWS[device.type]
    rows = size * (2 if bench.quick else 4)
    source = torch.Generator().manual_seed(0)
    long = torch.arange(rows) % LONG_ONE_IN == 0
    real = torch.where(long, LONG, SHORT)[torch.randperm(rows, generator=source)]
    mask = torch.arange(LONG) < real[:, None]
    ids = torch.randint(1000, 20000, (rows, LONG), generator=source) * mask
    arrays, formed = {"ids": ids.to(device), "mask": mask.to(device)}, Formed(module)

    def as_they_come() -> None:
        for cut in slices(rows, size):
            formed(**{name: array[cut] for name, array in arrays.items()})

    return [
        compared(
            bench, what,
            f"a text by minilm, {rows} texts of {SHORT} word pieces, one in {LONG_ONE_IN} of "
            f"{LONG}, {_threads(bench)}",
            lambda: _ms(bench, lambda: formed(**arrays)) / rows,
            lambda: _ms(bench, as_they_come) / rows,
        )
    ]  # fmt: skip


def decoding(bench: Bench) -> list[list[str]]:
    """An epoch's pictures out of the map that is decoded once, against decoding each time."""
    from mmauto.space import defaults

    features = _features(bench)
    encoder = features.registry.encoder("small_cnn")
    inputs = features.inputs("image", encoder.name, defaults(encoder.space(features.setup.task)))
    rows, source = len(inputs.column), np.random.default_rng(0)
    low, high = bench.sizes.pixels

    def epoch(read: Callable[[np.ndarray], Mapping[str, Tensor]]) -> float:
        parts = np.array_split(source.permutation(rows), rows // BATCH)
        return _ms(bench, lambda: [read(part) for part in parts]) / rows

    return [
        compared(
            bench, "pictures decoded once into a map of uint8, against each epoch anew",
            f"a JPEG of {low}-{high} px read at 64 px, {rows} in batches of {BATCH}, cpu",
            lambda: epoch(lambda part: _read(inputs, part)),
            lambda: epoch(inputs.prepare),
        )
    ]  # fmt: skip


def _features(bench: Bench) -> Features:
    """Pictures as a search reads them, on the CPU, with a cache of their own."""
    from mmauto.config import from_mapping
    from mmauto.engine.features import Features
    from mmauto.tuning.prepare import prepare

    folder, registry = bench.folder / "steps-pictures", load_registry()
    if not folder.exists():
        make_table(folder, BATCH if bench.quick else 4 * BATCH, bench.sizes.pixels)
    given = {"data": str(folder / TABLE), "image": "image", "text": "text", "target": "label"}
    setup = prepare(from_mapping(given), registry, "cpu").setup
    own = replace(setup, cache=str(bench.folder / "cache-steps"))
    return Features(own, registry, lambda text: None)


def _read(inputs: Inputs, rows: np.ndarray) -> Mapping[str, Tensor]:
    import torch

    index = torch.from_numpy(rows)
    return {name: array.index_select(0, index) for name, array in inputs.arrays.items()}


def _threads(bench: Bench) -> str:
    return f"cpu, {cores()} thread(s)" if bench.device == "cpu" else bench.device


def _ms(bench: Bench, work: Callable[[], object]) -> float:
    """Milliseconds of one run, with all cores."""
    import torch

    from mmauto.engine.once import using

    with torch.inference_mode(), using(cores()):
        wait(bench.device)
        start = time.perf_counter()
        work()
        wait(bench.device)
        return 1e3 * (time.perf_counter() - start)
