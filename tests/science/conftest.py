"""Generated features whose interaction is known, and the engine's own loop to train on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmauto.data.splits import Splits
from mmauto.engine.batches import Data
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Candidate, Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel, seeded_build
from mmauto.engine.train import Pack
from mmauto.registry import load_registry
from mmauto.space import defaults, scoped
from mmauto.values import FeatureSpec, FusionResult, TargetSpec, TaskView, Tokens

TRAIN, VALID, TEST = 1200, 300, 600
ROWS = TRAIN + VALID + TEST
DIM = 8
REGISTRY = load_registry()


@dataclass(frozen=True)
class World:
    """Two modalities ``a`` and ``b`` and a yes/no label.

    Attributes:
        features: key -> ``(N, T, D)``.
        present: key -> ``(N,)`` bool; where a key is not there, every sample is.
        label: ``(N,)`` 0 or 1, NaN where unobserved.
        facts: what a test wants to know of the generation.
    """

    features: Mapping[str, np.ndarray]
    label: np.ndarray
    present: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def task(self) -> TaskView:
        """What components may know of it."""
        keys = {key: key for key in self.features}
        return TaskView("made", keys, SPECS, "y", "accuracy")


SPECS = {"y": TargetSpec("y", "binary", ("no", "yes"))}
SPLITS = Splits(
    np.arange(TRAIN), np.arange(TRAIN, TRAIN + VALID), np.arange(TRAIN + VALID, ROWS), ()
)


class Fitted:
    """A trained model with what a test asks of it, on the test rows."""

    def __init__(self, model: MultimodalModel, data: Data, world: World):
        self.model, self.data, self.world = model.eval(), data, world

    def tokens(self, gone: tuple[str, ...] = (), rows: np.ndarray = SPLITS.test) -> Any:
        """What the fusion reads, and presence; ``gone`` modalities are absent."""
        arrays, present = self.data.gather(torch.from_numpy(rows))
        present = {k: flag & (k not in gone) for k, flag in present.items()}
        with torch.no_grad():
            return self.model.tokens(arrays, present), present

    def result(self, gone: tuple[str, ...] = ()) -> FusionResult:
        """The fusion's result."""
        tokens, present = self.tokens(gone)
        with torch.no_grad():
            found: FusionResult = self.model.fusion(tokens, present)
        return found

    def accuracy(self, gone: tuple[str, ...] = (), outputs: Tensor | None = None) -> float:
        """Share of test rows that are right."""
        found = self.result(gone).outputs["y"] if outputs is None else outputs
        return right(found, self.world.label[SPLITS.test])

    def means(self) -> dict[str, np.ndarray]:
        """Each modality's mean token behind the adapter, ``(N, width)``."""
        tokens, _ = self.tokens()
        return {key: part.mean().numpy() for key, part in tokens.items()}


def right(output: Tensor, label: np.ndarray) -> float:
    """Share of rows on the right side of zero."""
    return float(((output[:, 0] > 0).numpy() == (label > 0.5)).mean())


def fit(
    world: World,
    fusion: str = "concat_mlp",
    regulariser: str = "none",
    epochs: int = 12,
    seed: int = 0,
    adapter: int = 32,
    **changes: Any,
) -> Fitted:
    """Train one candidate at its defaults, ``changes`` over them (``__`` for ``/``)."""
    torch.set_num_threads(1)
    params = {
        **defaults(scoped("fusion", REGISTRY.fusion(fusion).space(world.task))),
        "adapter/width": adapter, "train/lr": 3e-3, "train/weight_decay": 1e-2,
        "train/batch_size": 64, "train/optimiser": "adamw", "train/schedule": "cosine",
        "regulariser": regulariser, **{f"{key}/encoder": "made" for key in world.features},
    }  # fmt: skip
    if regulariser != "none":
        own = REGISTRY.regulariser(regulariser).space(world.task)
        params |= defaults(scoped(f"regulariser/{regulariser}", own))
    for name, value in changes.items():
        params[name.replace("__", "/")] = value
    candidate = Candidate("fusion", fusion, tuple(world.features), params)
    setup = _setup(world)
    inputs = {key: _inputs(world, key) for key in world.features}
    loss = TaskLoss(setup)
    model = seeded_build(candidate, inputs, SPECS, REGISTRY, seed)
    data = Data(setup, inputs, loss)
    job = TrialJob(0, candidate, seed, epochs, epochs)
    torch.manual_seed(seed)
    pack = Pack([job], [model], data, loss, setup, Path())
    for _ in range(epochs):  # not rewound: the best epoch may come before a term has had its effect
        pack.epoch()
        if pack.slots[0].error is not None:
            raise pack.slots[0].error
    return Fitted(model, data, world)


def _setup(world: World) -> Setup:
    targets = {"y": world.label.astype(np.float32)}
    nothing: Any = None
    return Setup(nothing, SPLITS, SPECS, targets, "accuracy", False, "cpu", "")


def _inputs(world: World, key: str) -> Inputs:
    values = torch.from_numpy(world.features[key].astype(np.float32))
    here = world.present.get(key, np.ones(ROWS, dtype=bool))
    nothing: Any = None
    return Inputs(
        nothing, nothing, {}, {},
        {"values": values, "mask": torch.ones(values.shape[:2], dtype=torch.bool)},
        torch.from_numpy(here), FeatureSpec(*values.shape[1:]), True,
        torch.zeros(values.shape[-1]), torch.ones(values.shape[-1]),
    )  # fmt: skip


# ------------------------------------------------------------------------------------- worlds


def signs(seed: int, count: int = 2) -> tuple[np.random.Generator, np.ndarray]:
    """A generator, and ``(N, count)`` random signs."""
    rng = np.random.default_rng(seed)
    return rng, rng.choice([-1.0, 1.0], (ROWS, count))


def hidden(
    rng: np.random.Generator, signal: np.ndarray, noise: float = 0.3, tokens: int = 2
) -> np.ndarray:
    """``(N, T, D)``: a direction times the signal ``(N,)``, the same in every token, and noise."""
    direction = rng.normal(size=DIM)
    direction /= np.linalg.norm(direction)
    clean = 2.0 * signal[:, None, None] * direction
    return np.asarray(clean + noise * rng.normal(size=(ROWS, tokens, DIM)))


@pytest.fixture(scope="session")
def xor() -> World:
    """Synergy: each modality alone tells nothing, both together everything."""
    rng, sign = signs(1)
    label = (sign[:, 0] * sign[:, 1] > 0).astype(float)
    return World({"a": hidden(rng, sign[:, 0]), "b": hidden(rng, sign[:, 1])}, label)


@pytest.fixture(scope="session")
def redundant() -> World:
    """Both modalities tell the same."""
    rng, sign = signs(2, 1)
    label = (sign[:, 0] > 0).astype(float)
    return World({"a": hidden(rng, sign[:, 0]), "b": hidden(rng, sign[:, 0])}, label)


@pytest.fixture(scope="session")
def unique() -> World:
    """Only ``a`` tells; ``b`` is noise of the same size."""
    rng, sign = signs(3)
    label = (sign[:, 0] > 0).astype(float)
    return World({"a": hidden(rng, sign[:, 0]), "b": hidden(rng, sign[:, 1])}, label)


@pytest.fixture(scope="session")
def gappy() -> World:
    """Redundant, with 30 % of each modality's samples absent in training, never both."""
    rng, sign = signs(4, 1)
    label = (sign[:, 0] > 0).astype(float)
    draw = rng.random(ROWS)
    present = {"a": draw > 0.3, "b": draw < 0.7}
    for flag in present.values():
        flag[TRAIN:] = True
    return World({"a": hidden(rng, sign[:, 0]), "b": hidden(rng, sign[:, 0])}, label, present)


@pytest.fixture(scope="session")
def shared() -> World:
    """Two shared factors beside six private ones a modality; the label is a coin."""
    rng = np.random.default_rng(5)
    factors = rng.normal(size=(ROWS, 2))
    features = {}
    for key in ("a", "b"):
        mixing, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
        private = rng.normal(size=(ROWS, DIM - 2))
        both = np.concatenate([factors + 0.1 * rng.normal(size=factors.shape), private], 1)
        features[key] = (both @ mixing)[:, None, :]
    return World(features, rng.integers(0, 2, ROWS).astype(float), facts={"factors": factors})


@pytest.fixture(scope="session")
def noisy() -> World:
    """``a`` tells a little; ``b`` tells all in half of the rows, which one can see, and lies in the
    others."""
    rng, sign = signs(6, 2)
    good = rng.random(ROWS) < 0.5
    told = np.where(good, sign[:, 0], sign[:, 1])
    mark = np.where(good, 1.0, -1.0)
    features = {
        "a": hidden(rng, sign[:, 0], noise=2.0), "b": hidden(rng, told) + hidden(rng, mark, 0.0),
    }  # fmt: skip
    return World(features, (sign[:, 0] > 0).astype(float), facts={"good": good})


@pytest.fixture(scope="session")
def paired() -> World:
    """Six shared factors beside two private ones a modality; the label is a coin."""
    rng = np.random.default_rng(7)
    factors = rng.normal(size=(ROWS, 6))
    features = {}
    for key in ("a", "b"):
        mixing, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
        both = np.concatenate([factors, rng.normal(size=(ROWS, 2))], 1)
        features[key] = (both @ mixing)[:, None, :]
    return World(features, rng.integers(0, 2, ROWS).astype(float))


@pytest.fixture(scope="session")
def shifted() -> World:
    """The modalities have other means and covariances; the label stands in both."""
    rng, sign = signs(8, 1)
    a = hidden(rng, sign[:, 0])
    stretch = np.diag(np.linspace(0.2, 3.0, DIM))
    b = hidden(rng, sign[:, 0], noise=1.0) @ stretch + 1.5
    return World({"a": a, "b": b}, (sign[:, 0] > 0).astype(float))


@pytest.fixture(scope="session")
def starved() -> World:
    """``a`` tells all at once, ``b`` as much by the parity of three of its directions."""
    rng, sign = signs(9, 3)
    a = hidden(rng, sign[:, 0])
    b = hidden(rng, sign[:, 1]) + hidden(rng, sign[:, 2]) + hidden(rng, sign.prod(1))
    return World({"a": a, "b": b}, (sign[:, 0] > 0).astype(float))


@pytest.fixture(scope="session")
def spread() -> World:
    """Both modalities tell the same, each so faintly that two together are surer."""
    rng, sign = signs(10, 1)
    features = {key: hidden(rng, sign[:, 0], noise=2.0) for key in ("a", "b")}
    return World(features, (sign[:, 0] > 0).astype(float))


@pytest.fixture(scope="session")
def unlabelled() -> World:
    """Two clusters with 8 labels among 1,200 train rows."""
    rng, sign = signs(11, 1)
    features = {key: hidden(rng, sign[:, 0], noise=2.0) for key in ("a", "b")}
    label = (sign[:, 0] > 0).astype(float)
    label[8:TRAIN] = np.nan
    return World(features, label)


@pytest.fixture(scope="session")
def train_on() -> Callable[..., Fitted]:
    """`fit` for the tests."""
    return fit


def explained(features: np.ndarray, wanted: np.ndarray) -> float:
    """R^2 of the best linear prediction of ``wanted`` from ``features``."""
    given = np.concatenate([features, np.ones((len(features), 1))], 1)
    half = len(given) // 2
    weights, *_ = np.linalg.lstsq(given[:half], wanted[:half], rcond=None)
    error = ((given[half:] @ weights - wanted[half:]) ** 2).sum()
    return float(1 - error / ((wanted[half:] - wanted[half:].mean(0)) ** 2).sum())


@pytest.fixture(scope="session")
def r2() -> Callable[[np.ndarray, np.ndarray], float]:
    """`explained` for the tests."""
    return explained


__all__ = ["Fitted", "Tokens", "World", "explained", "fit"]
