"""Predictions of trained models, in batches that fit into the device's memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmauto.engine.batches import Data
from mmauto.engine.losses import TaskLoss
from mmauto.engine.memory import halving
from mmauto.engine.model import MultimodalModel
from mmauto.engine.once import precision
from mmauto.engine.packed.form import Alone, Form


def predict_all(
    form: Form, data: Data, loss: TaskLoss, rows: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """For each model of a form, {target: (len(rows), width)} probabilities or numbers."""
    device, count = next(iter(data.present.values())).device, len(form.models)
    form.mode(False)
    where = torch.from_numpy(np.asarray(rows)).to(device)

    def outputs(at_once: int) -> dict[str, Tensor]:
        parts = [form.outputs(*data.gather(index)) for index in torch.split(where, at_once)]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}

    with torch.inference_mode(), precision(device):
        whole, form.at_once = halving(outputs, form.at_once)
    found = loss.predictions({name: value.flatten(0, 1) for name, value in whole.items()})
    split = {name: np.split(value, count) for name, value in found.items()}
    return [{name: value[place] for name, value in split.items()} for place in range(count)]


def predict(
    model: MultimodalModel, data: Data, loss: TaskLoss, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """{target: (len(rows), width)} probabilities or numbers."""
    return predict_all(Alone([model], loss), data, loss, rows)[0]
