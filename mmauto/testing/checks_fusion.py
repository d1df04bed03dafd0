"""What every fusion keeps, behind the host's adapters, where it always stands."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from mmauto.contracts import Fusion
from mmauto.space import Params, corners
from mmauto.testing.checks_component import check_packed
from mmauto.testing.compare import bad_gradient, difference, finite, flat, snapshot, squares
from mmauto.testing.fakes import (
    FEATURES,
    LIMIT,
    TARGETS,
    adapted,
    batch,
    default_params,
    expect,
    task_view,
    tokens,
)
from mmauto.values import Batch, FeatureSpec, FusionResult, TargetSpec, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS = 7
TOLERANCE = 1e-5
MODALITIES = (("image",), ("image", "text"), ("image", "text", "tabular"))


def promised_shape(fusion: Fusion) -> None:
    """Each field of the result has its shape for 1 to 3 modalities, each kind of target and B."""
    for features, specs in _worlds(fusion):
        front, after, model = _model(fusion, features, specs)
        for rows, training in ((1, False), (2, True), (5, True), (5, False)):
            result = _run(front, model.train(training), *tokens(features, rows))
            _shapes(result, after, specs, rows)


def promised_fields(fusion: Fusion) -> None:
    """It always fills the fields that ``gives`` names."""
    known = {field.name for field in fields(FusionResult)}
    odd = sorted(set(fusion.gives) - known)
    expect(not odd, f"gives {odd}, of {sorted(known)}")
    for features, specs in _worlds(fusion):
        front, _, model = _model(fusion, features, specs)
        result = _run(front, model.train(), *tokens(features, ROWS))
        empty = [field for field in sorted(fusion.gives) if not _filled(getattr(result, field))]
        expect(not empty, f"it gives {', '.join(empty)}, which stayed empty")


def _filled(value: Any) -> bool:
    return value is not None and not (isinstance(value, Mapping) and not value)


def _shapes(
    result: FusionResult,
    features: Mapping[str, FeatureSpec],
    specs: Mapping[str, TargetSpec],
    rows: int,
) -> None:
    expect(isinstance(result, FusionResult), f"forward returned {type(result).__name__}")
    outputs = {name: (rows, spec.width) for name, spec in specs.items()}
    wanted: dict[str, dict[str, Any]] = {"outputs": outputs}
    if result.per_modality is not None:
        wanted["per_modality"] = dict.fromkeys(features, outputs)
    if result.weights is not None:
        wanted["weights"] = dict.fromkeys(features, (rows,))
    if result.attention is not None:
        wanted["attention"] = {k: (rows, spec.tokens) for k, spec in features.items()}
    for field, shapes in wanted.items():
        given = flat({k: _shape(v) for k, v in getattr(result, field).items()})
        expect(given == flat(shapes), f"{field} {given}, wanted {flat(shapes)}, at B = {rows}")
    if result.fused is not None:
        ok = result.fused.ndim == 2 and len(result.fused) == rows
        expect(ok, f"fused {tuple(result.fused.shape)} at B = {rows}")
    for name, term in result.losses.items():
        expect(term.ndim == 0, f"the loss {name!r} has shape {tuple(term.shape)}, not a scalar")


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shape(part) for key, part in value.items()}
    return tuple(value.shape)


def batch_independence(fusion: Fusion) -> None:
    """In eval mode a sample's result does not depend on the batch it came in."""
    features, specs = _world(fusion)
    front, _, model = _model(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    together = _run(front, model, raw, present).outputs
    for row in range(ROWS):
        one = {k: Tokens(t.values[row : row + 1], t.mask[row : row + 1]) for k, t in raw.items()}
        alone = _run(front, model, one, {k: p[row : row + 1] for k, p in present.items()}).outputs
        same = {name: value[row : row + 1] for name, value in together.items()}
        seen = difference(same, alone, tolerance=TOLERANCE)
        expect(not seen, f"row {row} alone against row {row} of {ROWS}: {seen}")


def finite_gradient(fusion: Fusion) -> None:
    """With absent rows, each parameter gets a finite gradient, each modality one that counts."""
    for features, specs in _worlds(fusion):
        front, _, model = _model(fusion, features, specs)
        raw, present = tokens(features, ROWS)
        raw = {key: replace(part, values=part.values.requires_grad_()) for key, part in raw.items()}
        result = _run(front, model.train(), raw, present)
        _loss(model, result, batch(present, specs)).backward()  # type: ignore[no-untyped-call]
        seen = bad_gradient(model) or bad_gradient(front)
        expect(not seen, seen)
        for key, part in raw.items():
            gradient = part.values.grad
            reached = gradient is not None and bool(gradient.abs().sum() > 0)
            expect(reached, f"no gradient reaches the tokens of {key!r}")


def determinism(fusion: Fusion) -> None:
    """The same torch seed gives the same weights and the same result, in training too."""
    features, specs = _world(fusion)
    seen = []
    for _ in range(2):
        front, _, model = _model(fusion, features, specs)
        result = _run(front, model.train(), *tokens(features, ROWS))
        seen.append((snapshot(model.state_dict()), snapshot(result.outputs)))
    expect(not difference(*seen), f"two builds from one seed: {difference(*seen)}")


def inputs_not_mutated(fusion: Fusion) -> None:
    """Parameters, features, tokens and presence are the same after a forward pass as before."""
    features, specs = _world(fusion)
    front, after, _ = _model(fusion, features, specs)
    params = dict(default_params(fusion))
    raw, present = tokens(features, ROWS)
    given = (front(raw, present), present, params, dict(after))
    before = snapshot(given)
    model = fusion.build(given[3], _heads(specs), given[2])
    model.train()(given[0], given[1])
    seen = difference(before, given)
    expect(not seen, seen)


def padding_cannot_leak(fusion: Fusion) -> None:
    """The values of masked tokens change nothing."""
    features, specs = _world(fusion)
    front, _, model = _model(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    quiet = front(raw, present)
    loud = {k: replace(t, values=_louder(t.values, ~t.mask)) for k, t in quiet.items()}
    one, two = (model(given, dict(present)).outputs for given in (quiet, loud))
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with other values under padding: {seen}")


def absent_cannot_leak(fusion: Fusion) -> None:
    """The tokens of an absent modality, values and mask, change nothing."""
    features, specs = _world(fusion)
    front, _, model = _model(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    loud = {
        key: Tokens(
            _louder(part.values, ~present[key].unsqueeze(-1).expand_as(part.mask)),
            part.mask | ~present[key].unsqueeze(-1),
        )
        for key, part in raw.items()
    }
    one, two = (_run(front, model, given, present).outputs for given in (raw, loud))
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with other tokens in absent rows: {seen}")


def any_subset_absent(fusion: Fusion) -> None:
    """Every subset of modalities, all of them included, may be absent from a whole batch."""
    import torch

    for features, specs in _worlds(fusion):
        front, _, model = _model(fusion, features, specs)
        raw, _ = tokens(features, ROWS)
        for flags in itertools.product((False, True), repeat=len(features)):
            present = {k: torch.full((ROWS,), f) for k, f in zip(features, flags, strict=True)}
            result = _run(front, model.train(), raw, present)
            model.zero_grad()
            _loss(model, result, batch(present, specs)).backward()  # type: ignore[no-untyped-call]
            seen = finite(result) or bad_gradient(model)
            here = [key for key, flag in zip(features, flags, strict=True) if flag]
            expect(not seen, f"with {', '.join(here) or 'nothing'} present: {seen}")


def dict_order(fusion: Fusion) -> None:
    """The order of the modalities in the dicts changes nothing."""
    import torch

    features, specs = _world(fusion)
    front, after, model = _model(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    torch.manual_seed(1)
    turned = fusion.build(_turned(after), _heads(specs), default_params(fusion)).eval()
    turned.load_state_dict(model.state_dict())
    with torch.no_grad():
        middle = front(raw, present)
        one = model(middle, present).outputs
        two = turned(_turned(middle), _turned(present)).outputs
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with the dicts turned round: {seen}")


def corners_build(fusion: Fusion) -> None:
    """At every corner of the space it builds and gives finite outputs of the promised shape."""
    features, specs = _world(fusion)
    for params in corners(fusion.space(task_view()), LIMIT):
        front, after, model = _model(fusion, features, specs, params)
        result = _run(front, model.train(), *tokens(features, ROWS))
        _shapes(result, after, specs, ROWS)
        expect(not finite(result), f"at {params}: {finite(result)}")


def packed_numbers_are_buffers(fusion: Fusion) -> None:
    """A number declared packs=True is read from a registered buffer of the module."""
    features, specs = _world(fusion)
    check_packed(fusion, lambda params: _model(fusion, features, specs, params)[2])


CHECKS = (
    promised_shape,
    promised_fields,
    batch_independence,
    finite_gradient,
    determinism,
    inputs_not_mutated,
    padding_cannot_leak,
    absent_cannot_leak,
    any_subset_absent,
    dict_order,
    corners_build,
    packed_numbers_are_buffers,
)


def _worlds(
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


def _world(fusion: Fusion) -> tuple[dict[str, FeatureSpec], dict[str, TargetSpec]]:
    """The widest that the fusion accepts."""
    return list(_worlds(fusion))[-1]


def _heads(specs: Mapping[str, TargetSpec]) -> Any:
    from mmauto.engine.adapters import LinearHeads

    return LinearHeads(specs)


def _model(
    fusion: Fusion,
    features: Mapping[str, FeatureSpec],
    specs: Mapping[str, TargetSpec],
    params: Params | None = None,
) -> tuple[nn.Module, Mapping[str, FeatureSpec], nn.Module]:
    """Adapters that keep each modality's width, the specs behind them, and the fusion in eval."""
    import torch

    torch.manual_seed(0)
    front, after = adapted(features, width=0)
    return front, after, fusion.build(after, _heads(specs), params or default_params(fusion)).eval()


def _run(
    front: nn.Module,
    model: nn.Module,
    raw: Mapping[str, Tokens],
    present: Mapping[str, Tensor],
) -> FusionResult:
    result: FusionResult = model(front(raw, present), dict(present))
    return result


def _loss(model: nn.Module, result: FusionResult, given: Batch) -> Tensor:
    """What the host minimises, with squares as the task's loss."""
    import torch

    own = getattr(model, "objective", None)
    value = own(result, given, squares) if own else squares(result.outputs).mean()
    expect(value.ndim == 0, f"the objective has shape {tuple(value.shape)}, not a scalar")
    return torch.stack([value, *result.losses.values()]).sum()


def _louder(values: Tensor, where: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, T, D)."""
    return values + 50.0 * where.unsqueeze(-1).to(values.dtype)


def _turned(given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(reversed(list(given.items())))
