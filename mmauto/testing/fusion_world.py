"""What checks of fusions build and run: features, targets, the model behind its adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mmauto.contracts import Fusion
from mmauto.space import Params
from mmauto.testing.compare import squares
from mmauto.testing.fakes import FEATURES, TARGETS, adapted, default_params, expect
from mmauto.values import Batch, FeatureSpec, FusionResult, TargetSpec, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

MODALITIES = (("image",), ("image", "text"), ("image", "text", "tabular"))


def worlds(
    fusion: Fusion,
) -> Iterator[tuple[dict[str, FeatureSpec], dict[str, TargetSpec]]]:
    """Features and targets that the fusion accepts: few modalities to many, each kind, all kinds.

    Raises:
        AssertionError: it refuses all of them.
    """
    kinds = [*({name: spec} for name, spec in TARGETS.items()), dict(TARGETS)]
    refusals = []
    for keys in MODALITIES:
        features = {key: FEATURES[key] for key in keys}
        for specs in kinds if len(keys) == len(MODALITIES) else kinds[-1:]:
            refusal = fusion.refuses(features, specs)
            if refusal is None:
                yield features, specs
            else:
                refusals.append(refusal)
    expect(len(refusals) < len(MODALITIES) + len(kinds) - 1, f"it refuses all: {refusals[:1]}")


def widest(fusion: Fusion) -> tuple[dict[str, FeatureSpec], dict[str, TargetSpec]]:
    """The widest that the fusion accepts."""
    return list(worlds(fusion))[-1]


def heads(specs: Mapping[str, TargetSpec]) -> Any:
    """The host's linear heads."""
    from mmauto.engine.adapters import LinearHeads

    return LinearHeads(specs)


def built(
    fusion: Fusion,
    features: Mapping[str, FeatureSpec],
    specs: Mapping[str, TargetSpec],
    params: Params | None = None,
) -> tuple[nn.Module, Mapping[str, FeatureSpec], nn.Module]:
    """Adapters that keep each modality's width, the specs behind them, and the fusion in eval."""
    import torch

    torch.manual_seed(0)
    front, after = adapted(features, width=0)
    return front, after, fusion.build(after, heads(specs), params or default_params(fusion)).eval()


def ran(
    front: nn.Module,
    model: nn.Module,
    raw: Mapping[str, Tokens],
    present: Mapping[str, Tensor],
) -> FusionResult:
    """What a fusion gives for tokens that pass the adapters."""
    result: FusionResult = model(front(raw, present), dict(present))
    return result


def loss_of(model: nn.Module, result: FusionResult, given: Batch) -> Tensor:
    """What the host minimises, with squares as the task's loss."""
    import torch

    own = getattr(model, "objective", None)
    value = own(result, given, squares) if own else squares(result.outputs).mean()
    expect(value.ndim == 0, f"the objective has shape {tuple(value.shape)}, not a scalar")
    return torch.stack([value, *result.losses.values()]).sum()


def louder(values: Tensor, where: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, T, D)."""
    return values + 50.0 * where.unsqueeze(-1).to(values.dtype)


def turned_round(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with its keys in the opposite order."""
    return dict(reversed(list(given.items())))
