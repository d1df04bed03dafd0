"""A small generated data set with a known truth, for the toy plugins in tests/assets/toys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto.data.columns import TabularValues
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits
from mmauto.engine.jobs import Candidate, Setup, TrialJob
from mmauto.engine.packed.choose import choose
from mmauto.engine.packed.form import Form
from mmauto.engine.remember import Memory
from mmauto.registry import Registry, load_registry
from mmauto.values import TargetSpec


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The built-ins and the toys, which executors in other processes find too."""
    monkeypatch.syspath_prepend(str(TOYS))
    return load_registry()


TOYS = Path(__file__).parent.parent / "assets" / "toys"


def make_setup(folder: Path, rows: int = 240, seed: int = 0, **changes: Any) -> Setup:
    """Three classes, decided by the signs of left and right; a quarter of right is missing."""
    source = np.random.default_rng(seed)
    left, right = source.normal(size=(2, rows))
    label = (left > 0).astype(int) + (right > 0)
    present = source.random(rows) > 0.25
    columns = {
        "left": TabularValues(
            {"x": left, "n": source.normal(size=rows)}, {"x": "numeric", "n": "numeric"}
        ),
        "right": TabularValues({"x": np.where(present, right, np.nan)}, {"x": "numeric"}),
    }
    days = left * 3 + 10 + source.normal(size=rows)
    dataset = Dataset(
        "toy",
        columns,
        {
            "y": TargetColumn("y", "multiclass", np.array([f"c{v}" for v in label], dtype=object)),
            "days": TargetColumn("days", "regression", days),
        },
        np.array([f"r{place}" for place in range(rows)]),
    )
    order = source.permutation(rows)
    cut, end = int(rows * 0.6), int(rows * 0.8)
    specs = {
        "y": TargetSpec("y", "multiclass", ("c0", "c1", "c2")),
        "days": TargetSpec("days", "regression"),
    }
    return Setup(
        **{
            "dataset": dataset,
            "splits": Splits(np.sort(order[:cut]), np.sort(order[cut:end]), np.sort(order[end:])),
            "specs": specs,
            "targets": {"y": label.astype(np.int64), "days": days},
            "metric": "balanced_accuracy",
            "class_weights": True,
            "device": "cpu",
            "cache": str(folder),
            **changes,
        }
    )


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """The generated data with its own cache folder."""
    return make_setup(tmp_path / "cache")


def new_job(number: int = 0, encoder: str = "toy_frozen", **changes: Any) -> TrialJob:
    """A `concat_mlp` candidate on both columns; keyword arguments go to the job or the params."""
    params = {
        "left/encoder": encoder, "right/encoder": encoder,
        "left/toy_frozen/factor": 1, "right/toy_frozen/factor": 1,
        "adapter/width": 16, "train/lr": 5e-3, "train/weight_decay": 1e-3,
        "train/batch_size": 32, "train/optimiser": "adamw", "train/schedule": "cosine",
        "fusion/width": 64, "fusion/depth": 1, "fusion/dropout": 0.1,
    }  # fmt: skip
    fields = {name: changes.pop(name) for name in list(changes) if name in TrialJob.__annotations__}
    component = changes.pop("component", "concat_mlp")
    kind = changes.pop("kind", "fusion")
    candidate = Candidate(
        kind, component, ("left", "right"), {**params, **changes.pop("params", {})}
    )
    return TrialJob(
        **{"id": number, "candidate": candidate, "seed": 1, "epochs": 6, "patience": 6, **fields}
    )


@pytest.fixture
def make_job() -> Callable[..., TrialJob]:
    """`new_job`, for tests."""
    return new_job


@pytest.fixture
def remake_setup(tmp_path: Path) -> Callable[..., Setup]:
    """`make_setup` on the same cache folder, with changes."""
    return lambda **changes: make_setup(tmp_path / "cache", **changes)


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Take one form whatever is measured; the list tells which form trained."""

    def force(name: str) -> list[str]:
        used: list[str] = []

        def noted(*given: Any) -> Form:
            form = choose(*given)
            used.append(form.name)
            return form

        monkeypatch.setattr(Memory, "get", lambda self, key: name)
        monkeypatch.setattr("mmauto.engine.train.choose", noted)
        return used

    return force
