"""Layers for K models at once: their rows stand one after another in one batch of K * B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmauto.engine.adapters import Adapter
from mmauto.engine.dropout import Dropout
from mmauto.values import Tokens


class Linears(nn.Module):
    """K linear layers: ``(K * B, ..., in) -> (K * B, ..., out)``."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        self.weight = stacked([layer.weight for layer in layers])  # (K, out, in)
        biases = [layer.bias for layer in layers]
        self.bias = None if biases[0] is None else stacked(biases)  # (K, out)

    def forward(self, values: Tensor) -> Tensor:
        """See the class."""
        rows = values.reshape(len(self.weight), -1, values.shape[-1])  # (K, B ..., in)
        turned = self.weight.transpose(1, 2)
        if self.bias is None:
            found = torch.bmm(rows, turned)
        else:
            found = torch.baddbmm(self.bias.unsqueeze(1), rows, turned)
        return found.view(*values.shape[:-1], -1)

    def shared(self, values: Tensor) -> Tensor:
        """``(B, T, in) -> (K * B, T, out)``: all models read the same rows, in one wide layer."""
        rows, tokens, _ = values.shape
        bias = None if self.bias is None else self.bias.flatten()
        wide = F.linear(values, self.weight.flatten(0, 1), bias)  # (B, T, K * out)
        split = wide.view(rows, tokens, len(self.weight), -1).permute(2, 0, 1, 3)
        return split.reshape(-1, tokens, split.shape[-1])


class LayerNorms(nn.Module):
    """K layer norms over the last dimension(s)."""

    def __init__(self, layers: Sequence[nn.LayerNorm]):
        super().__init__()
        self.shape, self.eps = layers[0].normalized_shape, layers[0].eps
        self.weight = self.bias = None
        if layers[0].elementwise_affine:
            self.weight = stacked([layer.weight for layer in layers])
            if layers[0].bias is not None:
                self.bias = stacked([layer.bias for layer in layers])

    def forward(self, values: Tensor) -> Tensor:
        """Any shape ``(K * B, ..., *normalised)`` in and out."""
        plain = F.layer_norm(values, self.shape, eps=self.eps)
        if self.weight is None:
            return plain
        own = plain.reshape(len(self.weight), -1, *self.shape)
        if self.bias is None:
            return (own * self.weight.unsqueeze(1)).view(values.shape)
        return torch.addcmul(self.bias.unsqueeze(1), own, self.weight.unsqueeze(1)).view(
            values.shape
        )


class Embeddings(nn.Module):
    """K embedding tables: ``(K * B, ...) -> (K * B, ..., D)``."""

    def __init__(self, layers: Sequence[nn.Embedding]):
        super().__init__()
        self.weight = stacked([layer.weight for layer in layers])  # (K, entries, D)

    def forward(self, codes: Tensor) -> Tensor:
        """See the class."""
        count, entries, _ = self.weight.shape
        shift = entries * torch.arange(count, device=codes.device).unsqueeze(1)
        own = codes.reshape(count, -1) + shift
        return F.embedding(own, self.weight.flatten(0, 1)).view(*codes.shape, -1)


class Adapters(nn.Module):
    """K of the host's adapters for one modality."""

    def __init__(self, layers: Sequence[Adapter]):
        super().__init__()
        self.project = self.norm = None
        if isinstance(layers[0].project, nn.Sequential):
            pairs: list[Any] = [layer.project for layer in layers]
            self.project = Linears([linear for linear, _ in pairs])
            self.norm = LayerNorms([norm for _, norm in pairs])
        self.absent = stacked([layer.absent for layer in layers])  # (K, D)

    def forward(self, tokens: Tokens, present: Tensor, code: Tensor | None = None) -> Tokens:
        """(B, T, dim) shared by all, or (K * B, T, dim); (K * B,) -> (K * B, T, width)."""
        values, mask = tokens.values, tokens.mask
        count = len(self.absent)
        together = len(values) == len(present)
        if self.project is not None and self.norm is not None:
            wide = self.project(values) if together else self.project.shared(values)
            values = self.norm(wide)
        elif not together:
            values = values.repeat(count, 1, 1)
        if not together:
            mask = mask.repeat(count, 1)
        rows = len(present) // count
        absent = self.absent.repeat_interleave(rows, 0).unsqueeze(1)  # (K * B, 1, D)
        return Tokens(values, mask, tokens.losses, absent).without(~present)


def stacked(tensors: Sequence[Tensor]) -> nn.Parameter:
    """``(K, ...)``, of which the models' own tensors become views: both hold the same numbers."""
    whole = nn.Parameter(torch.stack([t.detach() for t in tensors]), tensors[0].requires_grad)
    for tensor, part in zip(tensors, whole.detach(), strict=True):
        tensor.data = part
    return whole


def fold(modules: Sequence[nn.Module]) -> nn.Module | None:
    """One layer for K of them; None where their kind has none here."""
    first: Any = modules[0]
    peers: Any = modules
    if type(first) is nn.Linear:
        return Linears(peers)
    if type(first) is nn.LayerNorm:
        return LayerNorms(peers)
    if type(first) is Adapter and first.domain is None:
        return Adapters(peers)
    # a padding entry keeps its gradient zero, a norm limit writes into the table: both stay alone
    if type(first) is nn.Embedding and first.padding_idx is None and first.max_norm is None:
        return Embeddings(peers)
    if type(first) is Dropout:
        return Dropout(torch.stack([module.rate for module in peers]))
    return None
