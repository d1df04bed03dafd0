"""How many threads train: one for heads, the cores that a worker has for itself for encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmauto.config import from_mapping
from mmauto.data.image_columns import ImageArrays
from mmauto.engine import train
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.packed.form import Alone, Form
from mmauto.engine.train import Pack
from mmauto.registry import Registry
from mmauto.space import defaults
from mmauto.tuning import runners
from mmauto.tuning.runners import threads_each


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads in which each epoch was trained."""
    found: list[int] = []
    train = Pack.epoch

    def epoch(pack: Pack) -> None:
        found.append(torch.get_num_threads())
        train(pack)

    monkeypatch.setattr(Pack, "epoch", epoch)
    return found


@pytest.mark.parametrize("encoder", ["toy_frozen", "toy_trained"])
def test_heads_and_small_encoders_train_on_one(
    setup: Setup,
    registry: Registry,
    make_job: Callable[..., TrialJob],
    seen: list[int],
    encoder: str,
) -> None:
    job = make_job(encoder=encoder, epochs=2)
    Executor(replace(setup, training_threads=3), registry).run_pack([job], go_on)
    assert seen == [1, 1]


def test_encoders_that_are_worth_it_train_on_all(
    setup: Setup, registry: Registry, make_job: Callable[..., TrialJob], seen: list[int]
) -> None:
    """The head first, on one thread; then the encoder, too."""
    params = {"left/encoder": "toy_tunable", "train/finetune": 2, "train/finetune_lr": 1e-5}
    job = make_job(epochs=2, params=params)
    Executor(replace(setup, training_threads=3), registry).run_pack([job], go_on)
    assert seen == [1, 1, 3, 3]
    assert torch.get_num_threads() == 1


def test_convolutions_train_on_all_and_their_packs_are_measured_so(
    setup: Setup,
    registry: Registry,
    make_job: Callable[..., TrialJob],
    seen: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = len(setup.splits.train) + len(setup.splits.valid) + len(setup.splits.test)
    drawn = np.random.default_rng(0).integers(256, size=(rows, 8, 8, 3)).astype(np.uint8)
    columns = {**setup.dataset.columns, "left": ImageArrays(drawn)}
    whole = replace(setup, dataset=replace(setup.dataset, columns=columns), training_threads=2)
    own = defaults(registry.encoder("small_cnn").space(setup.task))
    params = {"left/encoder": "small_cnn", **{f"left/small_cnn/{n}": v for n, v in own.items()}}
    measured: list[int] = []

    def chosen(*given: Any) -> Form:
        measured.append(torch.get_num_threads())
        return Alone(*given[:2])

    monkeypatch.setattr(train, "choose", chosen)
    jobs = [make_job(place, pack="p", epochs=1, params=params) for place in range(2)]
    for outcome in Executor(whole, registry).run_pack(jobs, go_on):
        assert outcome.failure is None
    assert seen == measured == [2]


@pytest.mark.parametrize(("workers", "each"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch, workers: int, each: int) -> None:
    monkeypatch.setattr(runners, "cores", lambda: 8)
    assert threads_each(from_mapping({"task": "medical"}), workers) == each
