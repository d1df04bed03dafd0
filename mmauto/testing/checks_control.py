"""What every control keeps: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mmauto.contracts import Control, State
from mmauto.space import Params, corners
from mmauto.testing.compare import difference, finite, flat, snapshot
from mmauto.testing.fakes import (
    LIMIT,
    TARGETS,
    default_params,
    expect,
    target_arrays,
    task_view,
)
from mmauto.values import TargetSpec
from mmauto.views import Predictions

ROWS = 40
TOLERANCE = 1e-5
WIDTHS = {"image": 70, "text": 4, "tabular": 2}
"""One with more features than there are rows."""


def promised_shape(control: Control) -> None:
    """A ``(N, width)`` array for each kind of target, alone and together, at N = 1, 2 and 5."""
    for specs in _kinds():
        state = _fit(control, specs)
        for rows in (1, 2, 5):
            found = control.predict(_features(rows, seed=1), state, specs)
            shapes = {name: np.shape(value) for name, value in found.items()}
            wanted = {name: (rows, spec.width) for name, spec in specs.items()}
            expect(shapes == wanted, f"{shapes}, wanted {wanted}")


def probabilities(control: Control) -> None:
    """Predictions are finite; classes sum to 1, yes/no and tags lie between 0 and 1."""
    found = _predict(control, _fit(control, TARGETS))
    expect(not finite(found), finite(found))
    for name, spec in TARGETS.items():
        if spec.kind == "regression":
            continue
        value = found[name]
        expect(bool((value >= 0).all() and (value <= 1).all()), f"{name} outside 0 to 1")
        whole = np.abs(value.sum(1) - 1).max() if spec.kind == "multiclass" else 0.0
        expect(whole < 1e-3, f"{name} sums to 1 only within {whole:.3g}")


def rare_class(control: Control) -> None:
    """A class that no train row has still gets its column."""
    targets = target_arrays(TARGETS, ROWS)
    name = next(name for name, spec in TARGETS.items() if spec.kind == "multiclass")
    targets[name] = np.where(targets[name] == 1, 0, targets[name])
    state = control.fit(_features(ROWS), targets, TARGETS, default_params(control), 0)
    found = _predict(control, state)[name]
    expect(found.shape == (ROWS, TARGETS[name].width), f"{name} has shape {found.shape}")


def absent_features(control: Control) -> None:
    """Rows without any feature, and modalities without any row, stay finite."""
    gone = {key: np.full_like(values, np.nan) for key, values in _features(ROWS).items()}
    partly = {**_features(ROWS), "text": gone["text"]}
    for name, train in (("all features", _features(ROWS)), ("no text in training", partly)):
        targets = target_arrays(TARGETS, ROWS)
        state = control.fit(train, targets, TARGETS, default_params(control), 0)
        seen = finite(control.predict(gone, state, TARGETS))
        expect(not seen, f"{name}, nothing to predict from: {seen}")


def batch_independence(control: Control) -> None:
    """A row's prediction does not depend on the rows beside it."""
    state, features = _fit(control, TARGETS), _features(ROWS, seed=1)
    together = control.predict(features, state, TARGETS)
    for row in (0, 3, ROWS - 1):
        one = {key: values[row : row + 1] for key, values in features.items()}
        same = {name: value[row : row + 1] for name, value in together.items()}
        seen = difference(same, control.predict(one, state, TARGETS), tolerance=TOLERANCE)
        expect(not seen, f"row {row} alone: {seen}")


def determinism(control: Control) -> None:
    """The same seed gives the same predictions."""
    one, two = (_predict(control, _fit(control, TARGETS)) for _ in range(2))
    expect(not difference(one, two), f"two fits with one seed: {difference(one, two)}")


def dict_order(control: Control) -> None:
    """The order of the modalities in the dict changes nothing."""
    turned = dict(reversed(list(_features(ROWS).items())))
    targets, params = target_arrays(TARGETS, ROWS), default_params(control)
    state = control.fit(turned, targets, TARGETS, params, 0)
    two = control.predict(turned, state, TARGETS)
    seen = difference(_predict(control, _fit(control, TARGETS)), two, tolerance=TOLERANCE)
    expect(not seen, f"with the dict turned round: {seen}")


def inputs_not_mutated(control: Control) -> None:
    """Features, targets and parameters are the same after fit and predict as before."""
    features, targets = _features(ROWS), target_arrays(TARGETS, ROWS)
    params = dict(default_params(control))
    before = snapshot((features, targets, params))
    state = control.fit(features, targets, TARGETS, params, 0)
    control.predict(features, state, TARGETS)
    seen = difference(before, snapshot((features, targets, params)))
    expect(not seen, seen)


def state_is_plain(control: Control) -> None:
    """The state holds JSON values, arrays and scikit-learn estimators only."""
    for path, leaf in flat(_fit(control, TARGETS)).items():
        plain = leaf is None or isinstance(leaf, bool | int | float | str | np.ndarray)
        expect(plain or hasattr(leaf, "get_params"), f"{path} is a {type(leaf).__name__}")


def corners_build(control: Control) -> None:
    """At every corner of the space it fits and predicts finite values."""
    for params in corners(control.space(task_view()), LIMIT):
        seen = finite(_predict(control, _fit(control, TARGETS, params)))
        expect(not seen, f"at {params}: {seen}")


CHECKS = (
    promised_shape,
    probabilities,
    rare_class,
    absent_features,
    batch_independence,
    determinism,
    dict_order,
    inputs_not_mutated,
    state_is_plain,
    corners_build,
)


def _kinds() -> Iterator[Mapping[str, TargetSpec]]:
    yield from ({name: spec} for name, spec in TARGETS.items())
    yield TARGETS


def _features(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """``(N, D)`` a modality, with absent samples and missing values as NaN."""
    rng = np.random.default_rng(seed)
    found = {}
    for place, (key, width) in enumerate(WIDTHS.items()):
        values = rng.normal(size=(rows, width)).astype(np.float32)
        values[(np.arange(rows) % 5) == place] = np.nan
        values[rng.random(values.shape) < 0.05] = np.nan
        found[key] = values
    return found


def _fit(control: Control, specs: Mapping[str, TargetSpec], params: Params | None = None) -> State:
    given = default_params(control) if params is None else params
    return control.fit(_features(ROWS), target_arrays(specs, ROWS), specs, given, 0)


def _predict(control: Control, state: State) -> Predictions:
    return control.predict(_features(ROWS), state, TARGETS)
