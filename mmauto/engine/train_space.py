"""The engine's own hyper-parameters: declared apart from the loop, so that no torch is imported."""

from __future__ import annotations

from mmauto.space import Choice, Float, Int, Space

OPTIMISERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "constant")
TARGET_WEIGHTS = ("fixed", "uncertainty", "gradnorm")

FINETUNE, FINETUNE_LR = "train/finetune", "train/finetune_lr"
"""Parameters of a candidate that no space holds: epochs of its second stage, in which frozen
encoders train too (see `mmauto.engine.finetune`), and their learning rate there."""

TRAIN_SPACE: Space = {
    "lr": Float(1e-4, 1e-2, 1e-3, log=True, packs=True),
    "weight_decay": Float(1e-4, 1e-1, 1e-2, log=True, packs=True),
    "batch_size": Choice((32, 64, 128), 64),
    "optimiser": Choice(("adamw",)),
    "schedule": Choice(("cosine",)),
    "target_weights": Choice(("fixed",)),
    "warm_up": Choice((0.1,)),
}
"""Named ``train/...``; a study file may widen or fix each within `TRAIN_LIMITS`."""

ADAPTER_SPACE: Space = {"width": Choice((64, 128, 256), 128)}
"""Named ``adapter/...``: the width that all modalities are projected to."""

ADAPTER_LIMITS: Space = {"width": Int(0, 4096, 128)}
"""What a study file may ask for at most; 0 means no projection."""

TRAIN_LIMITS: Space = {
    "lr": Float(1e-7, 10.0, 1e-3),
    "weight_decay": Float(0.0, 10.0, 1e-2),
    "batch_size": Int(1, 65536, 64),
    "optimiser": Choice(OPTIMISERS),
    "schedule": Choice(SCHEDULES),
    "target_weights": Choice(TARGET_WEIGHTS),
    "warm_up": Float(0.0, 1.0, 0.1),
}
