"""The task's loss by target kind, and the way back from outputs to predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmauto.engine.jobs import Setup
from mmauto.values import Batch, TargetSpec


class TaskLoss(nn.Module):
    """Cross-entropy, binary cross-entropy or Huber a target; see `mmauto.engine.target_weights`.

    Regression targets are standardised with train statistics, so that every target's loss has a
    comparable size; unobserved labels count nothing.
    """

    def __init__(self, setup: Setup):
        super().__init__()
        self.specs = setup.specs
        self.names = list(setup.specs)
        self.weights: dict[str, Tensor] = {}
        self.centre: dict[str, float] = {}
        self.spread: dict[str, float] = {}
        for name, spec in setup.specs.items():
            train = setup.targets[name][setup.splits.train]
            if spec.kind == "regression":
                self.centre[name] = float(np.nanmean(train))
                self.spread[name] = float(np.nanstd(train)) or 1.0
            elif setup.class_weights and spec.kind in ("multiclass", "binary"):
                self.weights[name] = torch.from_numpy(class_weights(train, spec)).to(setup.device)

    def standardise(self, name: str, values: Tensor) -> Tensor:
        """A regression target in units of its train deviation; other kinds unchanged."""
        if name not in self.centre:
            return values
        return (values - self.centre[name]) / self.spread[name]

    def forward(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """{target: (B, width)} -> (B,), the targets' sum."""
        return torch.stack(list(self.each(outputs, batch).values())).sum(0)

    def each(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """{target: (B, width)} -> {target: (B,)}, zero where a label is not observed."""
        own = self._rows(outputs, batch)
        if batch.mix is None:
            return own
        partner, share = batch.mix.partner, batch.mix.share
        other = replace(
            batch,
            targets={name: value[partner] for name, value in batch.targets.items()},
            observed={name: value[partner] for name, value in batch.observed.items()},
        )
        theirs = self._rows(outputs, other)
        return {name: share * loss + (1 - share) * theirs[name] for name, loss in own.items()}

    def _rows(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {
            name: self._one(name, outputs[name], batch)
            * batch.observed[name].to(outputs[name].dtype)
            for name in self.names
            if name in outputs
        }

    def _one(self, name: str, output: Tensor, batch: Batch) -> Tensor:
        kind, target = self.specs[name].kind, batch.targets[name]
        weights = self.weights.get(name)
        if kind == "multiclass":
            return F.cross_entropy(output, target, weight=weights, reduction="none")
        if kind == "multilabel":
            return F.binary_cross_entropy_with_logits(output, target, reduction="none").mean(-1)
        if kind == "binary":
            loss = F.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")
            return loss if weights is None else loss * weights[target.long()]
        return F.smooth_l1_loss(output[:, 0], target, reduction="none")

    def predictions(self, outputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """{target: (N, width)} outputs -> probabilities, or numbers in the target's own unit."""
        scaling = {name: (self.centre[name], self.spread[name]) for name in self.centre}
        return predictions(self.specs, outputs, scaling)


def predictions(
    specs: Mapping[str, TargetSpec],
    outputs: Mapping[str, Tensor],
    scaling: Mapping[str, Sequence[float]],
) -> dict[str, np.ndarray]:
    """Outputs -> predictions; ``scaling`` is (mean, deviation) of each regression target."""
    found = {}
    for name, output in outputs.items():
        value, kind = output.detach().float(), specs[name].kind
        if kind == "multiclass":
            value = value.softmax(-1)
        elif kind in ("binary", "multilabel"):
            value = value.sigmoid()
        else:
            value = value * scaling[name][1] + scaling[name][0]
        found[name] = value.cpu().numpy()
    return found


def class_weights(train: np.ndarray, spec: TargetSpec) -> np.ndarray:
    """``(classes,)`` weights inverse to frequency, mean 1 over the train rows."""
    seen = train[train >= 0] if spec.kind == "multiclass" else train[~np.isnan(train)]
    counts = np.bincount(seen.astype(int), minlength=max(2, len(spec.classes))).astype(np.float32)
    return np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1)), 0.0).astype(
        np.float32
    )
