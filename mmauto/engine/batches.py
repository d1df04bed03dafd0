"""All rows of a candidate on the device, and the order in which training reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmauto.data.columns import DOMAIN
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Setup
from mmauto.engine.losses import TaskLoss
from mmauto.values import Batch


class Data:
    """All rows of one candidate on the device; a batch is a gather of indices."""

    def __init__(self, setup: Setup, inputs: Mapping[str, Inputs], loss: TaskLoss):
        device = torch.device(setup.device)
        self.arrays: dict[str, Mapping[str, Tensor]] = {
            key: part.arrays for key, part in inputs.items()
        }
        if setup.domains:
            codes = domain_codes(setup.dataset.columns[DOMAIN], setup.domains)
            self.arrays[DOMAIN] = {"code": codes.to(device)}
        self.present = {key: part.present for key, part in inputs.items()}
        self.targets: dict[str, Tensor] = {}
        self.observed: dict[str, Tensor] = {}
        for name, spec in setup.specs.items():
            raw = setup.targets[name]
            known = raw >= 0 if spec.kind == "multiclass" else ~np.isnan(raw)
            self.observed[name] = torch.from_numpy(known if known.ndim == 1 else known.all(1)).to(
                device
            )
            clean = np.where(known, raw, 0)
            kind = torch.long if spec.kind == "multiclass" else torch.float32
            values = torch.from_numpy(clean).to(device, kind)
            self.targets[name] = loss.standardise(name, values)

    def gather(self, rows: Tensor) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
        """Arrays and presence of some rows, (B, ...)."""
        arrays = {
            key: {name: array.index_select(0, rows) for name, array in part.items()}
            for key, part in self.arrays.items()
        }
        return arrays, {key: flag.index_select(0, rows) for key, flag in self.present.items()}

    def batch(self, rows: Tensor, present: dict[str, Tensor], progress: float) -> Batch:
        """The labels that go with `gather`."""
        targets = {name: value.index_select(0, rows) for name, value in self.targets.items()}
        observed = {name: value.index_select(0, rows) for name, value in self.observed.items()}
        return Batch(present, targets, observed, rows, progress)


def domain_codes(column: Iterable[Any], names: Sequence[str]) -> Tensor:
    """``(N,)`` places in ``names`` from 1; 0 where a domain is missing or was never seen."""
    place = {name: number for number, name in enumerate(names, 1)}
    return torch.tensor([place.get(str(value), 0) for value in column])


def batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The rows in random order, ``size`` at a time; a last single row joins the batch before.

    One row alone has no batch statistics, and its gradient would count as much as a full batch's.
    """
    order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    cuts = list(range(size, len(rows), size))
    if cuts and len(rows) - cuts[-1] == 1:
        cuts.pop()
    return iter(order.tensor_split(cuts))
