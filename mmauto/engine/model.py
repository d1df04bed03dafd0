"""One candidate as one module: encoders, adapters, fusion with its heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmauto.data.columns import DOMAIN
from mmauto.engine.adapters import LinearHeads, adapt
from mmauto.engine.convolution import half, lay_out
from mmauto.engine.dropout import swap_dropout
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Candidate
from mmauto.engine.once import Formed
from mmauto.engine.target_weights import target_weights
from mmauto.errors import PluginError
from mmauto.registry import Registry
from mmauto.space import unscoped
from mmauto.values import FusionResult, TargetSpec, Tokens

Arrays = Mapping[str, Mapping[str, Tensor]]


class Standardise(nn.Module):
    """Cached tokens, scaled with train statistics on the fly: the cache stays in float16."""

    def __init__(self, mean: Tensor, scale: Tensor):
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", scale.clone())

    def forward(self, values: Tensor, mask: Tensor) -> Tokens:
        """(B, T, D), (B, T) -> tokens of the same shape."""
        return Tokens((values.to(self.mean.dtype) - self.mean) / self.scale, mask)


class Tuned(nn.Module):
    """An encoder whose tokens were frozen, training on: what read its tokens goes on reading them.

    Norms over batches keep their statistics, since the batches of fine-tuning are small.
    """

    def __init__(self, encoder: nn.Module, standardise: Standardise):
        super().__init__()
        self.encoder = Formed(encoder.requires_grad_(True))
        self.standardise = standardise

    def train(self, mode: bool = True) -> Tuned:
        """Training or evaluation, but for norms over batches."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, **arrays: Tensor) -> Tokens:
        """Prepared arrays ``(B, ...)`` -> tokens (B, T, D)."""
        if not self.training:  # many rows at once, as where tokens are cached
            found = self.encoder(**arrays)
            tokens: Tokens = self.standardise(found["values"], found["mask"])
            return tokens
        given: Tokens = self.encoder.module(**arrays)
        return replace(given, values=self.standardise(given.values, given.mask).values)


class MultimodalModel(nn.Module):
    """Arrays of several modalities in, `FusionResult` out."""

    def __init__(
        self,
        candidate: Candidate,
        inputs: Mapping[str, Inputs],
        specs: Mapping[str, TargetSpec],
        registry: Registry,
        domains: int = 0,
    ):
        super().__init__()
        self.keys = list(inputs)
        self.names = {key: candidate.encoder(key) for key in self.keys} | {"": candidate.component}
        self.encoders = nn.ModuleList(_front(inputs[key]) for key in self.keys)
        self.convolves = [lay_out(front) for front in self.encoders]
        self.heavy = any(self.convolves) or any(isinstance(f, Tuned) for f in self.encoders)
        self.adapters, features = adapt(
            {key: inputs[key].spec for key in self.keys},
            int(candidate.params["adapter/width"]),
            domains,
        )
        fusion = registry.fusion(candidate.component)
        refusal = fusion.refuses(features, specs)
        if refusal:
            raise PluginError(f"fusion {fusion.name!r} cannot take part: {refusal}")
        self.fusion = fusion.build(features, LinearHeads(specs), candidate.own_params)
        self.specs = specs
        kind = str(candidate.params.get("train/target_weights", "fixed"))
        self.weights = target_weights(kind, list(specs))
        self.unlabelled = any(registry.regulariser(n).unlabelled for n in candidate.regularisers)
        self.regularisers = nn.ModuleList()
        for name in candidate.regularisers:
            own = unscoped(f"regulariser/{name}", candidate.params)
            self.regularisers.append(registry.regulariser(name).build(features, specs, own))

    def tokens(self, arrays: Arrays, present: Mapping[str, Tensor]) -> dict[str, Tokens]:
        """What the fusion reads: encoded and adapted, absent rows replaced."""
        found = {}
        code = arrays[DOMAIN]["code"] if DOMAIN in arrays else None
        for place, (key, adapter) in enumerate(zip(self.keys, self.adapters, strict=True)):
            given = self.encode(place, arrays[key])
            if not isinstance(given, Tokens):
                raise PluginError(
                    f"encoder {self.names[key]!r} must give Tokens, it gave {type(given).__name__}"
                )
            found[key] = adapter(given, present[key], code)
        return found

    def encode(self, place: int, arrays: Mapping[str, Tensor]) -> Tokens:
        """One modality's tokens before its adapter, by its place among ``keys``."""
        front = self.encoders[place]
        if not (self.convolves[place] and self.training):
            return front(**single(arrays))  # type: ignore[no-any-return]
        with half():
            given = front(**single(arrays))
        if isinstance(given, Tokens):
            given = replace(given, values=given.values.float())
        return given  # type: ignore[no-any-return]

    def forward(self, arrays: Arrays, present: Mapping[str, Tensor]) -> FusionResult:
        """{key: {name: (B, ...)}}, {key: (B,)} -> FusionResult."""
        return self.fuse(self.tokens(arrays, present), present)

    def fuse(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> FusionResult:
        """The fusion's result.

        Raises:
            PluginError: it is none, or its outputs have other shapes than the targets want.
        """
        result = self.fusion(dict(tokens), dict(present))
        if not torch.compiler.is_exporting():  # a trace must not depend on the number of rows
            self._check(result, len(next(iter(present.values()))))
        found: FusionResult = result
        return found

    def _check(self, result: object, rows: int) -> None:
        name = self.names[""]
        if not isinstance(result, FusionResult):
            raise PluginError(
                f"fusion {name!r} must give a FusionResult, it gave {type(result).__name__}"
            )
        for target, spec in self.specs.items():
            given = result.outputs.get(target)
            shape = None if given is None else tuple(given.shape)
            if shape != (rows, spec.width):
                raise PluginError(
                    f"fusion {name!r} must give outputs of shape {(rows, spec.width)} for target "
                    f"{target!r}, it gave {'none' if shape is None else shape}"
                )

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by modality, for regularisers that modulate gradients."""
        own: Mapping[str, list[nn.Parameter]] = getattr(self.fusion, "groups", dict)()
        return {
            key: [
                *self.encoders[place].parameters(),
                *self.adapters[place].parameters(),
                *own.get(key, ()),
            ]
            for place, key in enumerate(self.keys)
        }


def single(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arrays that were kept in half precision, in single precision."""
    return {n: a.float() if a.dtype == torch.float16 else a for n, a in arrays.items()}


def _front(inputs: Inputs) -> nn.Module:
    if inputs.mean is None or inputs.scale is None:
        return inputs.build()
    standardise = Standardise(inputs.mean, inputs.scale)
    return Tuned(inputs.build(), standardise) if inputs.tuned else standardise


def count(module: nn.Module, trainable: bool = True) -> int:
    """Parameters that take a gradient, or all of them."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def seeded_build(
    candidate: Candidate,
    inputs: Mapping[str, Inputs],
    specs: Mapping[str, TargetSpec],
    registry: Registry,
    seed: int,
    domains: int = 0,
) -> MultimodalModel:
    """The candidate's model with weights drawn from ``seed`` alone."""
    torch.manual_seed(seed)
    model = MultimodalModel(candidate, inputs, specs, registry, domains)
    swap_dropout(model)
    return model
