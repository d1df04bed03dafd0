"""What every regulariser keeps, beside a small fusion that fills every field it may need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from mmauto.contracts import Regulariser
from mmauto.space import Params, corners
from mmauto.testing.checks_component import check_packed
from mmauto.testing.compare import bad_gradient, difference, finite, probe, snapshot, squares
from mmauto.testing.fakes import (
    FEATURES,
    LIMIT,
    TARGETS,
    PlainFusion,
    adapted,
    batch,
    default_params,
    expect,
    task_view,
    tokens,
)
from mmauto.testing.fusion_world import heads
from mmauto.testing.packing import packed_as_alone
from mmauto.values import Batch, FusionResult, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS, WIDTH = 32, 16
METHODS = ("before", "loss", "after_backward", "epoch")


class Scene(NamedTuple):
    """One training step's parts, ready to run; ``module`` is the regulariser's."""

    module: Any
    fusion: nn.Module
    front: nn.Module
    tokens: dict[str, Tokens]
    batch: Batch


def offers_a_term(regulariser: Regulariser) -> None:
    """It needs fields that FusionResult has, and its module has a method that the host calls."""
    known = {field.name for field in fields(FusionResult)}
    odd = sorted(set(regulariser.needs) - known)
    expect(not odd, f"needs {odd}, of {sorted(known)}")
    module = _scene(regulariser).module
    has = [name for name in METHODS if callable(getattr(module, name, None))]
    expect(bool(has), f"a module without any of {', '.join(METHODS)}")


def shapes_kept(regulariser: Regulariser) -> None:
    """``before`` gives back tokens and presence of the same keys, shapes and types."""
    scene = _scene(regulariser)
    after, given = _before(scene)
    expect(isinstance(given, Batch), f"the second value is {type(given).__name__}, not a Batch")
    seen = difference(_forms(scene.tokens), _forms(after)) or difference(
        _forms(scene.batch.present), _forms(given.present)
    )
    expect(not seen, seen)
    empty = [key for key, part in after.items() if not bool(part.mask.any(1).all())]
    expect(not empty, f"a row of {empty} has no real token left")


def never_drops_everything(regulariser: Regulariser) -> None:
    """A sample that has a modality keeps one, and none that is absent appears."""
    import torch

    for params in corners(regulariser.space(task_view()), LIMIT):
        scene = _scene(regulariser, params)
        _, given = _before(scene)
        old = torch.stack([scene.batch.present[key] for key in FEATURES])
        new = torch.stack([given.present[key] for key in FEATURES])
        bare = int((old.any(0) & ~new.any(0)).sum())
        expect(bare == 0, f"{bare} of {ROWS} samples lost everything at {params}")
        expect(not bool((new & ~old).any()), f"an absent modality became present at {params}")


def finite_gradient(regulariser: Regulariser) -> None:
    """With absent rows the whole loss is a finite scalar, and so is each parameter's gradient."""
    scene = _scene(regulariser)
    value, _, _ = _step(scene)
    expect(value.ndim == 0 and bool(value.isfinite()), f"the loss is {value}")
    value.backward()  # type: ignore[no-untyped-call]
    seen = bad_gradient(scene.module)
    expect(not seen, seen)


def gradients_stay_finite(regulariser: Regulariser) -> None:
    """``after_backward`` leaves finite gradients."""
    scene = _scene(regulariser)
    value, result, given = _step(scene)
    value.backward()  # type: ignore[no-untyped-call]
    if hasattr(scene.module, "after_backward"):
        pairs = zip(FEATURES, scene.front.adapters, strict=True)  # type: ignore[arg-type]
        scene.module.after_backward(
            result,
            given,
            {key: list(adapter.parameters()) for key, adapter in pairs},
        )
    seen = bad_gradient(scene.front) or bad_gradient(scene.fusion)
    expect(not seen, seen)


def determinism(regulariser: Regulariser) -> None:
    """The same torch seed gives the same module, tokens and loss."""
    seen = []
    for _ in range(2):
        scene = _scene(regulariser)
        value, _, given = _step(scene)
        seen.append(snapshot([scene.module.state_dict(), value, given.present]))
    expect(not difference(*seen), f"two builds from one seed: {difference(*seen)}")


def epochs_heard(regulariser: Regulariser) -> None:
    """``epoch`` takes any losses, and the next step's loss is a finite scalar."""
    scene = _scene(regulariser)
    if not hasattr(scene.module, "epoch"):
        return
    for level in (1.0, 0.5, 0.5, 0.0):
        train = dict.fromkeys(["joint", *FEATURES], level)
        scene.module.epoch(train, {name: 2 * value for name, value in train.items()})
    value, _, _ = _step(scene)
    expect(value.ndim == 0 and bool(value.isfinite()), f"the loss is {value}")


def inputs_not_mutated(regulariser: Regulariser) -> None:
    """Parameters, tokens and batch are the same after a step as before."""
    params = dict(default_params(regulariser))
    scene = _scene(regulariser, params)
    before = snapshot((scene.tokens, scene.batch, params))
    _step(scene)
    seen = difference(before, snapshot((scene.tokens, scene.batch, params)))
    expect(not seen, seen)


def absent_cannot_leak(regulariser: Regulariser) -> None:
    """The raw tokens of an absent modality do not change the loss."""
    quiet, loud = (_step(_scene(regulariser, loud=by))[0] for by in (0.0, 50.0))
    seen = difference(quiet, loud, tolerance=1e-5)
    expect(not seen, f"other tokens in absent rows: {seen}")


def corners_build(regulariser: Regulariser) -> None:
    """At every corner of the space it builds and gives a finite loss."""
    for params in corners(regulariser.space(task_view()), LIMIT):
        value, result, _ = _step(_scene(regulariser, params))
        seen = finite([value, result.outputs])
        expect(not seen, f"at {params}: {seen}")


def packed_numbers_are_buffers(regulariser: Regulariser) -> None:
    """A number declared packs=True is read from a registered buffer of the module."""
    check_packed(regulariser, lambda params: _scene(regulariser, params).module)


CHECKS = (
    offers_a_term,
    shapes_kept,
    never_drops_everything,
    finite_gradient,
    gradients_stay_finite,
    epochs_heard,
    determinism,
    inputs_not_mutated,
    absent_cannot_leak,
    corners_build,
    packed_numbers_are_buffers,
    packed_as_alone,
)


class Again:
    """`mmauto.values.Forward` with squares as the task's loss."""

    def __init__(self, fusion: nn.Module):
        self.fusion = fusion

    def __call__(self, tokens: Mapping[str, Tokens], given: Batch) -> FusionResult:
        """The fusion's result."""
        result: FusionResult = self.fusion(dict(tokens), dict(given.present))
        return result

    def task_loss(self, outputs: Mapping[str, Tensor], given: Batch) -> Tensor:
        """{target: (B, width)} -> (B,)."""
        return squares(outputs)


def _scene(regulariser: Regulariser, params: Params | None = None, loud: float = 0.0) -> Scene:
    import torch

    torch.manual_seed(0)
    front, after = adapted(FEATURES, WIDTH)
    raw, present = tokens(FEATURES, ROWS)
    for key, part in raw.items():
        part.values = part.values + loud * (~present[key]).view(-1, 1, 1).to(part.values.dtype)
    given = default_params(regulariser) if params is None else params
    module = regulariser.build(after, TARGETS, given).train()
    fusion = PlainFusion().build(after, heads(TARGETS), {}).train()
    return Scene(module, fusion, front, front(raw, present), batch(present, TARGETS))


def _before(scene: Scene) -> tuple[Mapping[str, Tokens], Batch]:
    if not hasattr(scene.module, "before"):
        return scene.tokens, scene.batch
    found: tuple[Mapping[str, Tokens], Batch] = scene.module.before(scene.tokens, scene.batch)
    return found


def _step(scene: Scene) -> tuple[Tensor, FusionResult, Batch]:
    """Everything up to the scalar that the host minimises."""
    after, given = _before(scene)
    result: FusionResult = scene.fusion(dict(after), dict(given.present))
    value = probe(result.outputs)
    if hasattr(scene.module, "loss"):
        value = value + scene.module.loss(result, given, after, Again(scene.fusion))
    return value, result, given


def _forms(given: Mapping[str, Any]) -> dict[str, str]:
    """Key -> shapes and types, of tokens or flags."""
    return {
        key: f"{tuple(part.values.shape)} {part.values.dtype} {tuple(part.mask.shape)} "
        f"{part.mask.dtype}"
        if isinstance(part, Tokens)
        else f"{tuple(part.shape)} {part.dtype}"
        for key, part in given.items()
    }
