"""Losses by modality on rows trained on and on rows held out, for regularisers that ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmauto.engine.batches import Data
from mmauto.engine.losses import TaskLoss
from mmauto.engine.memory import halving
from mmauto.engine.model import MultimodalModel
from mmauto.engine.once import precision

SHARE = 0.1
MOST = 1024
"""So many rows tell a mean loss well enough."""

AT_ONCE = 256

JOINT = "joint"


def hold_out(rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """``(N,)`` train rows -> those to train on, and a tenth (one at least) to hold out."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed + 3))
    cut = max(1, round(SHARE * len(rows)))
    return rows[order[cut:].to(rows.device)], rows[order[:cut].to(rows.device)]


def side_losses(
    model: MultimodalModel, data: Data, loss: TaskLoss, rows: Tensor
) -> dict[str, float]:
    """The mean task loss of ``"joint"`` and of each modality that has outputs of its own.

    Over the rows with a label, a modality's own over those in which it is there.
    """
    model.eval()
    with torch.inference_mode(), precision(rows.device):
        found, _ = halving(
            lambda size: _means(model, data, loss, torch.split(rows[:MOST], size)), AT_ONCE
        )
    return found


def _means(
    model: MultimodalModel, data: Data, loss: TaskLoss, splits: Sequence[Tensor]
) -> dict[str, float]:
    totals: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for index in splits:
        arrays, present = data.gather(index)
        batch, result = data.batch(index, present, 1.0), model(arrays, present)
        parts: dict[str, Mapping[str, Tensor]] = {JOINT: result.outputs}
        parts |= result.per_modality or {}
        known = torch.stack(list(batch.observed.values())).any(0)
        for name, outputs in parts.items():
            here = known if name == JOINT else known & present[name]
            total = (loss(outputs, batch) * here).sum()
            totals[name] = totals.get(name, torch.zeros_like(total)) + total
            counts[name] = counts.get(name, torch.zeros_like(total)) + here.sum()
    return {name: float(total / counts[name].clamp(min=1)) for name, total in totals.items()}
