"""The fast form: K models as one whose batch is K times as long, layer by layer.

A row's result does not depend on its batch (the conformance kit checks it), so a fusion's own code
runs unchanged on the rows of K models that stand one after another; only its layers are
replaced by ones that multiply each model's rows with that model's weights in one call.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import Arrays, MultimodalModel, Standardise
from mmauto.engine.objective import Again, optional
from mmauto.engine.once import precision
from mmauto.engine.packed.form import Form, Gradients, UnfitError, gradients_of, trained
from mmauto.engine.packed.leaves import fold
from mmauto.engine.random_state import alike
from mmauto.values import Batch, FusionResult, Tokens


class Folded(Form):
    """Linear layers, layer norms, embeddings and dropout over K models at once.

    Frozen tokens are the same for all models, so the first layer is one wide matrix product.

    Raises:
        UnfitError: something else has parameters, or a regulariser needs more than ``before``.
    """

    name = "folded"

    def __init__(self, models: Sequence[MultimodalModel], loss: TaskLoss):
        super().__init__(models, loss)
        first = self.models[0]
        for regulariser in first.regularisers:
            hooks = ("loss", "after_backward", "epoch")
            if any(optional(regulariser, hook) for hook in hooks) or trained(regulariser):
                raise UnfitError("a regulariser adds more than a change of tokens")
        if first.weights.balances or trained(first.weights):
            raise UnfitError("the weights of several targets are learned")
        if not all(parameter.requires_grad for parameter in first.parameters()):
            raise UnfitError("a part that is not trained would be copied for each model")
        self.model = copy.deepcopy(first)
        self.model.regularisers = nn.ModuleList()
        _fold_below(self.model, self.models)
        places = {p.data_ptr(): place for place, p in enumerate(trained(first))}
        stacks = {places.get(p.data_ptr(), -1): p for p in trained(self.model)}
        if sorted(stacks) != list(range(len(places))):
            raise UnfitError("a parameter is used in two places")
        self.stacks = [stacks[place] for place in sorted(stacks)]

    def mode(self, training: bool) -> None:
        """Of the one model, and of the regularisers that stay with theirs."""
        self.model.train(training)
        for model in self.models:
            model.regularisers.train(training)

    def shared_buffers(self) -> list[Tensor]:
        """See `Form.shared_buffers`."""
        return list(self.model.buffers())

    def gradients(self, arrays: Arrays, batch: Batch) -> Gradients:
        """See `Form.gradients`."""
        with precision(batch.index.device):
            values = self._values(arrays, batch)
        found = torch.autograd.grad(values.sum(), self.stacks, allow_unused=True)
        return gradients_of(values, found)

    def outputs(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Form.outputs`."""
        here = self._long(present)
        result = self.model.fuse(self.model.tokens(self._arrays(arrays), here), here)
        return {name: apart(value, len(self.models)) for name, value in result.outputs.items()}

    def _values(self, arrays: Arrays, batch: Batch) -> Tensor:
        """(K,) objectives."""
        count = len(self.models)
        long = dataclasses.replace(
            batch,
            present=self._long(batch.present),
            targets=self._long(batch.targets),
            observed=self._long(batch.observed),
            index=batch.index.repeat(count),
        )
        tokens = self.model.tokens(self._arrays(arrays), long.present)
        batches = [batch] * count
        if len(self.models[0].regularisers):
            tokens, batches = self._before(tokens, batch)
            changed = [part.present for part in batches]
            long = dataclasses.replace(
                long, present={key: torch.cat([p[key] for p in changed]) for key in changed[0]}
            )
        result = self.model.fuse(tokens, long.present)
        if result.losses or any(part.losses for part in tokens.values()):
            raise UnfitError("terms over the batch cannot be told apart")
        again = Again(self.model, self.loss)
        if not optional(self.model.fusion, "objective"):
            return apart(again.task_loss(result.outputs, long), count).mean(1)
        values = []
        for place, model in enumerate(self.models):
            own: Any = model.fusion.objective
            part = batches[place]

            def task_loss(outputs: Mapping[str, Tensor], part: Batch = part) -> Tensor:
                return again.task_loss(outputs, part)

            values.append(own(_part(result, place, count), part, task_loss))
        return torch.stack(values)

    def _before(
        self, tokens: Mapping[str, Tokens], batch: Batch
    ) -> tuple[dict[str, Tokens], list[Batch]]:
        """Each model's own regularisers on its own rows, with the same random draws."""
        count, parts, batches = len(self.models), [], []
        for place, model in alike(enumerate(self.models)):
            own: Mapping[str, Tokens] = _part(tokens, place, count)
            changed = batch
            for regulariser in model.regularisers:
                if before := optional(regulariser, "before"):
                    own, changed = before(own, changed)
            if changed.mix is not None:
                raise UnfitError("mixed rows have partners in their own batch")
            parts.append(own)
            batches.append(changed)
        whole = {
            key: dataclasses.replace(
                part,
                values=torch.cat([found[key].values for found in parts]),
                mask=torch.cat([found[key].mask for found in parts]),
            )
            for key, part in tokens.items()
        }
        return whole, batches

    def _arrays(self, arrays: Arrays) -> dict[str, Mapping[str, Tensor]]:
        """Rows K times over for encoders in training; frozen tokens are shared."""
        found = dict(arrays)
        for key, front in zip(self.model.keys, self.model.encoders, strict=True):
            if not isinstance(front, Standardise):
                found[key] = self._long(arrays[key])
        return found

    def _long(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        count = len(self.models)
        return {name: a.repeat(count, *[1] * (a.ndim - 1)) for name, a in arrays.items()}


def _fold_below(module: nn.Module, originals: Sequence[nn.Module]) -> None:
    """Replace the layers below ``module``, a copy of the first of ``originals``."""
    done: dict[int, nn.Module] = {}
    for name, child in module.named_children():
        peers = [original.get_submodule(name) for original in originals]
        if id(peers[0]) not in done:
            layer = fold(peers)
            if layer is None:
                kind = type(child).__name__
                if child._parameters or isinstance(child, nn.modules.batchnorm._BatchNorm):
                    raise UnfitError(f"{kind} has parameters of its own")
                _fold_below(child, peers)
                layer = child
            done[id(peers[0])] = layer
        setattr(module, name, done[id(peers[0])])


def apart(rows: Tensor, count: int) -> Tensor:
    """(K * B, ...) -> (K, B, ...)."""
    return rows.reshape(count, -1, *rows.shape[1:])


def _part(value: Any, place: int, count: int) -> Any:
    """One model's rows of whatever a fusion gives."""
    if isinstance(value, Tensor):
        return apart(value, count)[place]
    if isinstance(value, Mapping):
        return {key: _part(part, place, count) for key, part in value.items()}
    if isinstance(value, FusionResult | Tokens):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return type(value)(**{n: _part(part, place, count) for n, part in parts.items()})
    return value
