"""A small stored study, in a folder or in a shared database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmauto.store.files import save_truth
from mmauto.store.study import StudyStore
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView


@pytest.fixture(scope="session")
def new_study() -> Callable[..., StudyStore]:
    def make(folder: Path, name: str = "s", storage: str = "") -> StudyStore:
        folder.mkdir(exist_ok=True)
        sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
        save_truth(folder, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
        task = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy")
        views = [ArmView("one", "fusion", "one", "early", "")]
        return StudyStore.create(
            folder, name, {}, task, {"nan": float("nan")}, {}, "", views, storage
        )

    return make
