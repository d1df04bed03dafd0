"""What every fusion keeps, behind the host's adapters, where it always stands."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from mmauto.contracts import Fusion
from mmauto.space import corners
from mmauto.testing.checks_component import check_packed
from mmauto.testing.compare import bad_gradient, difference, finite, flat, snapshot
from mmauto.testing.fakes import (
    LIMIT,
    batch,
    default_params,
    expect,
    task_view,
    tokens,
)
from mmauto.testing.fusion_world import (
    built,
    heads,
    loss_of,
    louder,
    ran,
    turned_round,
    widest,
    worlds,
)
from mmauto.testing.packing import packed_as_alone
from mmauto.values import FeatureSpec, FusionResult, TargetSpec, Tokens

ROWS = 7
TOLERANCE = 1e-5


def promised_shape(fusion: Fusion) -> None:
    """Each field of the result has its shape for 1 to 3 modalities, each kind of target and B."""
    for features, specs in worlds(fusion):
        front, after, model = built(fusion, features, specs)
        for rows, training in ((1, False), (2, True), (5, True), (5, False)):
            result = ran(front, model.train(training), *tokens(features, rows))
            _shapes(result, after, specs, rows)


def promised_fields(fusion: Fusion) -> None:
    """It always fills the fields that ``gives`` names."""
    known = {field.name for field in fields(FusionResult)}
    odd = sorted(set(fusion.gives) - known)
    expect(not odd, f"gives {odd}, of {sorted(known)}")
    for features, specs in worlds(fusion):
        front, _, model = built(fusion, features, specs)
        result = ran(front, model.train(), *tokens(features, ROWS))
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
    features, specs = widest(fusion)
    front, _, model = built(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    together = ran(front, model, raw, present).outputs
    for row in range(ROWS):
        one = {k: Tokens(t.values[row : row + 1], t.mask[row : row + 1]) for k, t in raw.items()}
        alone = ran(front, model, one, {k: p[row : row + 1] for k, p in present.items()}).outputs
        same = {name: value[row : row + 1] for name, value in together.items()}
        seen = difference(same, alone, tolerance=TOLERANCE)
        expect(not seen, f"row {row} alone against row {row} of {ROWS}: {seen}")


def finite_gradient(fusion: Fusion) -> None:
    """With absent rows, each parameter gets a finite gradient, each modality one that counts."""
    for features, specs in worlds(fusion):
        front, _, model = built(fusion, features, specs)
        raw, present = tokens(features, ROWS)
        raw = {key: replace(part, values=part.values.requires_grad_()) for key, part in raw.items()}
        result = ran(front, model.train(), raw, present)
        loss_of(model, result, batch(present, specs)).backward()  # type: ignore[no-untyped-call]
        seen = bad_gradient(model) or bad_gradient(front)
        expect(not seen, seen)
        for key, part in raw.items():
            gradient = part.values.grad
            reached = gradient is not None and bool(gradient.abs().sum() > 0)
            expect(reached, f"no gradient reaches the tokens of {key!r}")


def determinism(fusion: Fusion) -> None:
    """The same torch seed gives the same weights and the same result, in training too."""
    features, specs = widest(fusion)
    seen = []
    for _ in range(2):
        front, _, model = built(fusion, features, specs)
        result = ran(front, model.train(), *tokens(features, ROWS))
        seen.append((snapshot(model.state_dict()), snapshot(result.outputs)))
    expect(not difference(*seen), f"two builds from one seed: {difference(*seen)}")


def inputs_not_mutated(fusion: Fusion) -> None:
    """Parameters, features, tokens and presence are the same after a forward pass as before."""
    features, specs = widest(fusion)
    front, after, _ = built(fusion, features, specs)
    params = dict(default_params(fusion))
    raw, present = tokens(features, ROWS)
    given = (front(raw, present), present, params, dict(after))
    before = snapshot(given)
    model = fusion.build(given[3], heads(specs), given[2])
    model.train()(given[0], given[1])
    seen = difference(before, given)
    expect(not seen, seen)


def padding_cannot_leak(fusion: Fusion) -> None:
    """The values of masked tokens change nothing."""
    features, specs = widest(fusion)
    front, _, model = built(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    quiet = front(raw, present)
    loud = {k: replace(t, values=louder(t.values, ~t.mask)) for k, t in quiet.items()}
    one, two = (model(given, dict(present)).outputs for given in (quiet, loud))
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with other values under padding: {seen}")


def absent_cannot_leak(fusion: Fusion) -> None:
    """The tokens of an absent modality, values and mask, change nothing."""
    features, specs = widest(fusion)
    front, _, model = built(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    loud = {
        key: Tokens(
            louder(part.values, ~present[key].unsqueeze(-1).expand_as(part.mask)),
            part.mask | ~present[key].unsqueeze(-1),
        )
        for key, part in raw.items()
    }
    one, two = (ran(front, model, given, present).outputs for given in (raw, loud))
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with other tokens in absent rows: {seen}")


def any_subset_absent(fusion: Fusion) -> None:
    """Every subset of modalities, all of them included, may be absent from a whole batch."""
    import torch

    for features, specs in worlds(fusion):
        front, _, model = built(fusion, features, specs)
        raw, _ = tokens(features, ROWS)
        for flags in itertools.product((False, True), repeat=len(features)):
            present = {k: torch.full((ROWS,), f) for k, f in zip(features, flags, strict=True)}
            result = ran(front, model.train(), raw, present)
            model.zero_grad()
            loss_of(model, result, batch(present, specs)).backward()  # type: ignore[no-untyped-call]
            seen = finite(result) or bad_gradient(model)
            here = [key for key, flag in zip(features, flags, strict=True) if flag]
            expect(not seen, f"with {', '.join(here) or 'nothing'} present: {seen}")


def dict_order(fusion: Fusion) -> None:
    """The order of the modalities in the dicts changes nothing."""
    import torch

    features, specs = widest(fusion)
    front, after, model = built(fusion, features, specs)
    raw, present = tokens(features, ROWS)
    torch.manual_seed(1)
    turned = fusion.build(turned_round(after), heads(specs), default_params(fusion)).eval()
    turned.load_state_dict(model.state_dict())
    with torch.no_grad():
        middle = front(raw, present)
        one = model(middle, present).outputs
        two = turned(turned_round(middle), turned_round(present)).outputs
    seen = difference(one, two, tolerance=TOLERANCE)
    expect(not seen, f"with the dicts turned round: {seen}")


def corners_build(fusion: Fusion) -> None:
    """At every corner of the space it builds and gives finite outputs of the promised shape."""
    features, specs = widest(fusion)
    for params in corners(fusion.space(task_view()), LIMIT):
        front, after, model = built(fusion, features, specs, params)
        result = ran(front, model.train(), *tokens(features, ROWS))
        _shapes(result, after, specs, ROWS)
        expect(not finite(result), f"at {params}: {finite(result)}")


def packed_numbers_are_buffers(fusion: Fusion) -> None:
    """A number declared packs=True is read from a registered buffer of the module."""
    features, specs = widest(fusion)
    check_packed(fusion, lambda params: built(fusion, features, specs, params)[2])


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
    packed_as_alone,
)
