"""What every encoder keeps, from raw samples to tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.contracts import Encoder, State
from mmauto.space import Params, corners
from mmauto.testing.checks_component import check_packed
from mmauto.testing.compare import bad_gradient, difference, finite, probe, snapshot
from mmauto.testing.fakes import LIMIT, column, default_params, expect, task_view
from mmauto.testing.packing import packed_as_alone
from mmauto.values import Column, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS = 8
TOLERANCE = 1e-4


def prepared_rows(encoder: Encoder) -> None:
    """``prepare`` gives arrays with a row a sample, zero where the sample is missing."""
    samples, state, params = _fitted(encoder)
    for name, array in _arrays(encoder, samples, state, params).items():
        expect(len(array) == ROWS, f"{name} has {len(array)} rows for {ROWS} samples")
        gone = array[~samples.present]
        expect(not bool((gone != 0).any()), f"{name} is not zero where samples are missing")


def samples_apart(encoder: Encoder) -> None:
    """What ``prepare`` makes of a sample does not depend on the samples beside it."""
    samples, state, params = _fitted(encoder)
    together = _arrays(encoder, samples, state, params)
    for row in range(3):
        alone = _arrays(encoder, samples.take([row]), state, params)
        seen = difference(
            {k: v[row : row + 1] for k, v in together.items()}, alone, tolerance=TOLERANCE
        )
        expect(not seen, f"sample {row} prepared alone: {seen}")


def promised_shape(encoder: Encoder) -> None:
    """Tokens are ``(B, tokens, dim)`` as ``features`` says, at B = 1, 2 and 5, one real a row."""
    samples, state, params = _fitted(encoder)
    module = _module(encoder, state, params)
    arrays = inputs_of(encoder, samples, state, params)
    for rows in (1, 2, 5):
        _shapes(encoder, _run(module, _rows(arrays, rows)), state, params, rows)


def _shapes(encoder: Encoder, found: Tokens, state: State, params: Params, rows: int) -> None:
    import torch

    expect(isinstance(found, Tokens), f"forward returned {type(found).__name__}")
    spec = encoder.features(state, params)
    shape, wanted = tuple(found.values.shape), (rows, spec.tokens, spec.dim)
    expect(shape == wanted, f"values {shape}, features promised {wanted}")
    mask = (tuple(found.mask.shape), found.mask.dtype)
    expect(mask == (wanted[:2], torch.bool), f"mask {mask}, wanted {wanted[:2]} of bool")
    expect(bool(found.mask.any(1).all()), "a row without a real token")
    for name, term in found.losses.items():
        expect(term.ndim == 0, f"the loss {name!r} has shape {tuple(term.shape)}, not a scalar")


def missing_stays_finite(encoder: Encoder) -> None:
    """Tokens are finite for missing and for empty samples too."""
    samples, state, params = _fitted(encoder)
    arrays = inputs_of(encoder, samples, state, params)
    for training in (False, True):
        seen = finite(_run(_module(encoder, state, params).train(training), arrays))
        expect(not seen, f"{'training' if training else 'eval'}: {seen}")


def batch_independence(encoder: Encoder) -> None:
    """In eval mode a sample's tokens do not depend on the batch it came in."""
    samples, state, params = _fitted(encoder)
    module, arrays = _module(encoder, state, params), inputs_of(encoder, samples, state, params)
    together = _real(_run(module, arrays))
    for row in range(3):
        alone = _real(_run(module, {k: v[row : row + 1] for k, v in arrays.items()}))
        seen = difference([part[row : row + 1] for part in together], alone, tolerance=TOLERANCE)
        expect(not seen, f"sample {row} alone against among {ROWS}: {seen}")


def finite_gradient(encoder: Encoder) -> None:
    """Each trainable parameter gets a finite gradient; a frozen encoder has none to train."""
    samples, state, params = _fitted(encoder)
    module = _module(encoder, state, params).train()
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    if encoder.frozen(params):
        expect(not trained, f"frozen, yet {len(trained)} parameters train, e.g. {trained[:1]}")
        return
    out = module(**inputs_of(encoder, samples, state, params))
    value = probe(out.values * out.mask.unsqueeze(-1)) + sum(out.losses.values())
    if trained:
        value.backward()
    expect(not bad_gradient(module), bad_gradient(module))


def tunable_weights(encoder: Encoder) -> None:
    """The network of a frozen encoder that is ``tunable`` has weights that a gradient reaches."""
    samples, state, params = _fitted(encoder)
    if not (encoder.frozen(params) and encoder.tunable(params)):
        return
    module = _module(encoder, state, params).requires_grad_(True)
    out = module(**inputs_of(encoder, samples, state, params))
    value = probe(out.values * out.mask.unsqueeze(-1))
    expect(value.requires_grad, "tunable, yet its tokens depend on no weights")
    value.backward()  # type: ignore[no-untyped-call]
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    expect(all(bool(g.isfinite().all()) for g in grads), "a gradient is not finite")
    expect(any(bool(g.any()) for g in grads), "tunable, yet the gradients of all weights are zero")


def determinism(encoder: Encoder) -> None:
    """The same samples and torch seed give the same state, arrays, weights and tokens."""
    seen = []
    for _ in range(2):
        samples, state, params = _fitted(encoder)
        arrays = inputs_of(encoder, samples, state, params)
        module = _module(encoder, state, params)
        seen.append(snapshot([state, arrays, module.state_dict(), _run(module, arrays).values]))
    expect(not difference(*seen), f"done twice: {difference(*seen)}")


def inputs_not_mutated(encoder: Encoder) -> None:
    """Samples, state, parameters and arrays are the same after use as before."""
    samples, params = column(encoder, encoder.modality, ROWS), dict(default_params(encoder))
    before, digest = dict(params), samples.digest()
    state = encoder.fit(samples, params)
    kept = snapshot(state)
    arrays = inputs_of(encoder, samples, state, params)
    given = snapshot(arrays)
    module = _module(encoder, state, params)
    for training in (False, True):
        _run(module.train(training), arrays)
    expect(samples.digest() == digest, "the column changed")
    expect(params == before, f"params {before} became {params}")
    seen = difference(kept, snapshot(state)) or difference(given, snapshot(arrays))
    expect(not seen, seen)


def fit_sees_train_only(encoder: Encoder) -> None:
    """The state depends on the train rows alone, whatever was prepared or fitted in between."""
    params = default_params(encoder)
    train = column(encoder, encoder.modality, ROWS)
    first = encoder.fit(train, params)
    kept = snapshot(first)
    others = column(encoder, encoder.modality, ROWS, seed=1)
    before = snapshot(_arrays(encoder, train, first, params))
    encoder.prepare(others, first, params)
    encoder.fit(others, params)
    seen = difference(kept, snapshot(first))
    expect(not seen, f"preparing other rows changed the state: {seen}")
    seen = difference(kept, snapshot(encoder.fit(train, params)))
    expect(not seen, f"a second fit on the same rows remembers others: {seen}")
    seen = difference(before, snapshot(_arrays(encoder, train, first, params)))
    expect(not seen, f"other rows changed what the same rows become: {seen}")


def state_survives_storage(encoder: Encoder) -> None:
    """The state is JSON values and arrays under text keys, and works the same once stored."""
    samples, state, params = _fitted(encoder)
    back = _stored(state, "state")
    one, two = (inputs_of(encoder, samples, part, params) for part in (state, back))
    expect(not difference(one, two), f"prepared from the stored state: {difference(one, two)}")
    outs = [_run(_module(encoder, part, params), one).values for part in (state, back)]
    expect(not difference(*outs), f"built from the stored state: {difference(*outs)}")


def augment_keeps_shapes(encoder: Encoder) -> None:
    """``augment`` gives new arrays of the same names, shapes and types, by its generator alone."""
    import torch

    samples, state, params = _fitted(encoder)
    module: Any = _module(encoder, state, params)
    if not hasattr(module, "augment"):
        return
    arrays = inputs_of(encoder, samples, state, params)
    before = snapshot(arrays)
    twice = [dict(module.augment(arrays, torch.Generator().manual_seed(1))) for _ in range(2)]
    expect(not difference(*twice), f"with one generator seed: {difference(*twice)}")
    forms = [{k: (tuple(v.shape), str(v.dtype)) for k, v in a.items()} for a in (arrays, twice[0])]
    expect(forms[0] == forms[1], f"{forms[0]} became {forms[1]}")
    expect(not difference(before, snapshot(arrays)), "the arrays given were changed in place")


def corners_build(encoder: Encoder) -> None:
    """At every corner of the space it fits, prepares, builds and gives the promised shape."""
    samples = column(encoder, encoder.modality, 3)
    for params in corners(encoder.space(task_view()), LIMIT):
        state = encoder.fit(samples, params)
        arrays = inputs_of(encoder, samples, state, params)
        found = _run(_module(encoder, state, params), arrays)
        _shapes(encoder, found, state, params, 3)
        expect(not finite(found), f"at {params}: {finite(found)}")


def packed_numbers_are_buffers(encoder: Encoder) -> None:
    """A number declared packs=True is read from a registered buffer of the module."""
    samples = column(encoder, encoder.modality, ROWS)
    check_packed(encoder, lambda params: _module(encoder, encoder.fit(samples, params), params))


CHECKS = (
    prepared_rows,
    samples_apart,
    promised_shape,
    missing_stays_finite,
    batch_independence,
    finite_gradient,
    tunable_weights,
    determinism,
    inputs_not_mutated,
    fit_sees_train_only,
    state_survives_storage,
    augment_keeps_shapes,
    corners_build,
    packed_numbers_are_buffers,
    packed_as_alone,
)


def _fitted(encoder: Encoder) -> tuple[Column, State, Params]:
    samples, params = column(encoder, encoder.modality, ROWS), default_params(encoder)
    return samples, encoder.fit(samples, params), params


def _arrays(encoder: Encoder, samples: Column, state: State, params: Params) -> dict[str, Tensor]:
    import torch

    found = encoder.prepare(samples, state, params)
    return {name: torch.as_tensor(np.asarray(array)) for name, array in found.items()}


def inputs_of(encoder: Encoder, samples: Column, state: State, params: Params) -> dict[str, Tensor]:
    """What the module of ``build`` reads: prepared arrays, through the stem where there is one."""
    import torch

    from mmauto.engine.compat import mend_torchvision

    mend_torchvision()
    arrays = _arrays(encoder, samples, state, params)
    stem = None if encoder.frozen(params) else encoder.stem(state, params)
    if stem is None:
        return arrays
    trained = [name for name, p in stem.named_parameters() if p.requires_grad]
    expect(not trained, f"a stem is frozen, {len(trained)} of its parameters train")
    with torch.no_grad():
        return dict(stem.eval()(**arrays))


def _module(encoder: Encoder, state: State, params: Params) -> nn.Module:
    """Built from one seed, in eval mode, after what the engine does before any build."""
    import torch

    from mmauto.engine.compat import mend_torchvision

    mend_torchvision()
    torch.manual_seed(0)
    return encoder.build(state, params).eval()


def _run(module: nn.Module, arrays: Mapping[str, Tensor]) -> Tokens:
    import torch

    with torch.no_grad():
        found: Tokens = module(**arrays)
    return found


def _real(found: Tokens) -> list[Tensor]:
    """The values of real tokens (zero elsewhere), and which they are."""
    return [found.values * found.mask.unsqueeze(-1), found.mask]


def _rows(arrays: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    return {name: array[:rows] for name, array in arrays.items()}


def _stored(value: Any, path: str) -> Any:
    """What comes back of a state from JSON beside arrays."""
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str)]
        expect(not odd, f"{path} has the keys {odd[:3]}, not texts")
        return {key: _stored(part, f"{path}/{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(part, f"{path}/{place}") for place, part in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.copy()
    if hasattr(value, "detach"):
        return value.detach().clone()
    plain = value is None or isinstance(value, bool | int | float | str)
    expect(plain, f"{path} is a {type(value).__name__}, neither JSON nor an array")
    return json.loads(json.dumps(value))
