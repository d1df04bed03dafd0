"""Generated frozen tokens and candidates on them, for rows that need no whole search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmauto.engine.train import Pack

ROWS, VALID, TEST, CLASSES = 1400, 300, 3000, 5
DIMS = {"image": 512, "text": 256}


@dataclass(frozen=True)
class Numbers:
    """What trials of one shape differ in."""

    lr: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1


class Lab:
    """1,400 rows to train on, 300 to validate, 3,000 to test; five classes that overlap.

    Each row has one image token of 512 and one text token of 256 in half precision, as the cache
    holds them. One thread.

    Args:
        folder: where measured forms are remembered.
        seed: of the data.
    """

    def __init__(self, folder: Path, device: str, seed: int = 0):
        import numpy as np
        import torch

        from mmauto.data.splits import Splits
        from mmauto.engine.batches import Data
        from mmauto.engine.features import Inputs
        from mmauto.engine.jobs import Setup
        from mmauto.engine.losses import TaskLoss
        from mmauto.registry import load_registry
        from mmauto.values import FeatureSpec, TargetSpec

        torch.set_num_threads(1)
        self.registry, self.folder, self.seed = load_registry(), folder, seed
        source, total = np.random.default_rng(seed), ROWS + VALID + TEST
        specs = {"y": TargetSpec("y", "multiclass", tuple(f"c{n}" for n in range(CLASSES)))}
        label = source.integers(CLASSES, size=total)
        train, valid, test = np.split(np.arange(total), [ROWS, ROWS + VALID])
        nowhere: Any = None
        self.setup = Setup(
            nowhere, Splits(train, valid, test, ()), specs, {"y": label}, "balanced_accuracy",
            True, device, str(folder / "features"),
        )  # fmt: skip
        self.inputs = {}
        for key, dim in DIMS.items():
            centres = source.normal(size=(CLASSES, 1, dim))
            values = 0.1 * centres[label] + source.normal(size=(total, 1, dim))
            arrays = {
                "values": torch.from_numpy(values.astype(np.float16)).to(device),
                "mask": torch.ones(total, 1, dtype=torch.bool, device=device),
            }
            zero, one = torch.zeros(dim, device=device), torch.ones(dim, device=device)
            self.inputs[key] = Inputs(
                nowhere, nowhere, {}, {}, arrays,
                torch.ones(total, dtype=torch.bool, device=device),
                FeatureSpec(1, dim), True, zero, one,
            )  # fmt: skip
        self.loss = TaskLoss(self.setup)
        self.data = Data(self.setup, self.inputs, self.loss)

    def pack(self, fusion: str, width: int, trials: Sequence[Numbers], epochs: int) -> Pack:
        """Trials of one shape, ready to train."""
        from mmauto.engine.jobs import Candidate, TrialJob
        from mmauto.engine.model import seeded_build
        from mmauto.engine.train import Pack
        from mmauto.space import defaults, scoped
        from mmauto.values import TaskView

        task = TaskView("bench", {key: key for key in DIMS}, self.setup.specs, "y", "accuracy")
        space = defaults(scoped("fusion", self.registry.fusion(fusion).space(task)))
        jobs = []
        for number, own in enumerate(trials):
            params = {
                **space, "fusion/width": width, "fusion/dropout": own.dropout,
                "adapter/width": width, "train/lr": own.lr,
                "train/weight_decay": own.weight_decay, "train/batch_size": 64,
                "train/optimiser": "adamw", "train/schedule": "cosine",
                **{f"{key}/encoder": "drawn" for key in DIMS},
            }  # fmt: skip
            candidate = Candidate("fusion", fusion, tuple(DIMS), params)
            jobs.append(TrialJob(number, candidate, self.seed, epochs, epochs, pack="one"))
        models = [
            seeded_build(
                job.candidate, self.inputs, self.setup.specs, self.registry, self.seed
            ).to(self.setup.device)
            for job in jobs
        ]  # fmt: skip
        memory = self.folder / "pack-forms.json"
        return Pack(jobs, models, self.data, self.loss, self.setup, memory)
