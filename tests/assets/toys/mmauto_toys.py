"""Toy plugins with a distribution of their own, as a third party's would be installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmauto.plugin import Choice, Encoder, FeatureSpec, Fusion, Tokens, hookimpl


class ToyTrained(Encoder):
    """The row's numbers as one token, through a trained layer."""

    name = "toy_trained"
    summary = "numbers through a linear layer"
    reference = "a test"
    modality = "tabular"

    def fit(self, train: Any, params: Any) -> Mapping[str, Any]:
        return {"fields": sorted(train.fields), "dim": 8}

    def prepare(self, column: Any, state: Any, params: Any) -> Mapping[str, Any]:
        import torch

        rows = [[(row or {}).get(f) or 0.0 for f in state["fields"]] for row in column]
        return {"numbers": torch.tensor(rows, dtype=torch.float32)}

    def features(self, state: Any, params: Any) -> FeatureSpec:
        return FeatureSpec(1, state["dim"])

    def build(self, state: Any, params: Any) -> Any:
        import torch
        from torch import nn

        class Toy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(len(state["fields"]), state["dim"])

            def forward(self, numbers: Any) -> Tokens:
                values = self.linear(numbers).unsqueeze(1)
                return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))

        return Toy()


class ToyFrozen(ToyTrained):
    """The row's numbers as they are; counts how often it encodes."""

    name = "toy_frozen"
    encoded = 0

    def space(self, task: Any) -> Mapping[str, Any]:
        return {"factor": Choice((1, 2))}

    def frozen(self, params: Any) -> bool:
        return True

    def features(self, state: Any, params: Any) -> FeatureSpec:
        return FeatureSpec(1, len(state["fields"]))

    def build(self, state: Any, params: Any) -> Any:
        import torch
        from torch import nn

        class Toy(nn.Module):
            def forward(self, numbers: Any) -> Tokens:
                ToyFrozen.encoded += len(numbers)
                values = params.get("factor", 1) * numbers.unsqueeze(1)
                return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))

        return Toy()


class ToyTunable(ToyFrozen):
    """One frozen token that leaves out the field x; its weights, once they train, can let it in."""

    name = "toy_tunable"
    default = False

    def space(self, task: Any) -> Mapping[str, Any]:
        return {}

    def tunable(self, params: Any) -> bool:
        return True

    def features(self, state: Any, params: Any) -> FeatureSpec:
        return FeatureSpec(1, 2)

    def build(self, state: Any, params: Any) -> Any:
        import torch
        from torch import nn

        sharp = 10_000  # so that a small change of a weight is a large one of the token

        class Toy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(len(state["fields"]), 2)
                self.norm = nn.BatchNorm1d(2)
                with torch.no_grad():
                    self.linear.weight.copy_(
                        torch.tensor([[(f != "x") / sharp for f in state["fields"]]] * 2)
                    )
                    self.linear.bias.zero_()

            def forward(self, numbers: Any) -> Tokens:
                values = self.norm(sharp * self.linear(numbers)).unsqueeze(1)
                return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))

        return Toy().eval().requires_grad_(False)


class Faulty(Fusion):
    """Raises, returns NaN or runs out of memory, as asked."""

    name = "faulty"
    summary = "fails as asked"
    reference = "a test"
    stage = "early"

    def space(self, task: Any) -> Mapping[str, Any]:
        return {"how": Choice(("raise", "nan", "oom", "exit", "hang", "shape", "type"))}

    def build(self, features: Any, heads: Any, params: Any) -> Any:
        import os
        import time

        import torch
        from torch import nn

        from mmauto.plugin import FusionResult

        class Fails(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.head = heads(next(iter(features.values())).dim)

            def forward(self, tokens: Any, present: Any) -> FusionResult:
                how = params["how"]
                if how == "raise":
                    raise ValueError("wrong shape, said the plugin")
                if how == "oom":
                    raise torch.OutOfMemoryError("CUDA out of memory")
                if how == "exit":
                    os._exit(3)
                if how == "hang":
                    time.sleep(60)
                outputs = self.head(next(iter(tokens.values())).mean())
                if how == "type":
                    return outputs
                if how == "shape":
                    return FusionResult({name: value[:1] for name, value in outputs.items()})
                return FusionResult({name: value * float("nan") for name, value in outputs.items()})

        return Fails()


@hookimpl
def mmauto_encoders() -> list[Encoder]:
    return [ToyTrained(), ToyFrozen(), ToyTunable()]


@hookimpl
def mmauto_fusions() -> list[Fusion]:
    return [Faulty()]
