"""A distribution that is installed while a study is under way: a fusion and a text encoder."""

from __future__ import annotations

from typing import Any

from mmauto.plugin import Encoder, FeatureSpec, Fusion, FusionResult, Tokens, hookimpl


class Plain(Fusion):
    """The mean of all mean tokens."""

    name = "late_plain"
    stage = "early"
    summary = "the mean of all mean tokens"
    reference = "a test"

    def build(self, features: Any, heads: Any, params: Any) -> Any:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.heads = heads(next(iter(features.values())).dim)

            def forward(self, tokens: Any, present: Any) -> FusionResult:
                return FusionResult(
                    self.heads(torch.stack([t.mean() for t in tokens.values()]).mean(0))
                )

        return Net()


class Letters(Encoder):
    """How often each letter occurs."""

    name = "late_letters"
    modality = "text"
    summary = "letter counts"
    reference = "a test"

    def frozen(self, params: Any) -> bool:
        return True

    def fit(self, train: Any, params: Any) -> Any:
        return {}

    def prepare(self, column: Any, state: Any, params: Any) -> Any:
        import torch

        letters = "abcdefghijklmnopqrstuvwxyz"
        rows = [[float((text or "").count(letter)) for letter in letters] for text in column]
        return {"counts": torch.tensor(rows)}

    def features(self, state: Any, params: Any) -> FeatureSpec:
        return FeatureSpec(1, 26)

    def build(self, state: Any, params: Any) -> Any:
        import torch
        from torch import nn

        class Net(nn.Module):
            def forward(self, counts: Any) -> Tokens:
                return Tokens(counts.unsqueeze(1), torch.ones(len(counts), 1, dtype=torch.bool))

        return Net()


@hookimpl
def mmauto_encoders() -> list[Encoder]:
    return [Letters()]


@hookimpl
def mmauto_fusions() -> list[Fusion]:
    return [Plain()]
