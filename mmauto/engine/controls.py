"""Controls run in numpy, on the same frozen features as the fusions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from mmauto.contracts import Control, State
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.metrics import score
from mmauto.errors import PluginError
from mmauto.views import Predictions


@dataclass(frozen=True)
class FittedControl:
    """A control after training, with what it predicts."""

    control: Control
    state: State
    value: float
    seconds: float
    valid: Predictions
    test: Predictions


def fit_control(
    setup: Setup, inputs: Mapping[str, Inputs], control: Control, job: TrialJob
) -> FittedControl:
    """Fit on train rows and predict the validation rows (and test rows when asked).

    Raises:
        PluginError: the control predicts another shape than it promised.
    """
    wide = {key: as_rows(part) for key, part in inputs.items()}
    splits, start = setup.splits, time.perf_counter()
    # OpenMP and BLAS would take every core, also those on which other workers train
    with threadpool_limits(setup.threads):
        state = control.fit(
            {key: values[splits.train] for key, values in wide.items()},
            {name: values[splits.train] for name, values in setup.targets.items()},
            setup.specs,
            job.candidate.own_params,
            job.seed,
        )
    seconds = time.perf_counter() - start

    def predict(rows: np.ndarray) -> Predictions:
        found = control.predict({k: v[rows] for k, v in wide.items()}, state, setup.specs)
        checked = {name: np.asarray(found[name], dtype=np.float32) for name in setup.specs}
        for name, values in checked.items():
            shape = (len(rows), setup.specs[name].width)
            if values.shape != shape:
                raise PluginError(
                    f"control {control.name!r} must predict an array of shape {shape} for target "
                    f"{name!r}, it gave {values.shape}"
                )
        return checked

    valid = predict(splits.valid)
    truth = setup.targets[setup.primary][splits.valid]
    value = score(setup.metric, setup.specs[setup.primary], truth, valid[setup.primary])
    return FittedControl(
        control, state, value, seconds, valid, predict(splits.test) if job.score_test else {}
    )


def as_rows(inputs: Inputs) -> np.ndarray:
    """(N, D) floats, NaN where the sample is absent: the mean of frozen tokens, or flat arrays."""
    present = inputs.present.cpu().numpy()
    if inputs.frozen:
        values = inputs.arrays["values"].float().cpu().numpy()
        mask = inputs.arrays["mask"].cpu().numpy()[..., None]
        rows = (values * mask).sum(1) / np.maximum(mask.sum(1), 1)
    else:
        rows = _flat({name: array.cpu().numpy() for name, array in inputs.arrays.items()})
    return np.where(present[:, None], rows, np.nan).astype(np.float32)


def _flat(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    # by name: the order must be the same from the cache, where it is alphabetical
    sorted_arrays = [np.asarray(arrays[name], dtype=np.float32) for name in sorted(arrays)]
    parts = [array.reshape(len(array), -1) for array in sorted_arrays]
    return np.concatenate(parts, axis=1)
