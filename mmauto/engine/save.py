"""Writes a trained candidate as a folder of safetensors and JSON; `mmauto.engine.bundle` reads it.

``bundle.json`` holds the candidate, the targets, the encoders' states and the versions of the
plugins; ``arrays.safetensors`` holds weights and array states; a control's scikit-learn estimators
stand in ``NAME.skops``. Weights of frozen encoders stay in the package that brings them, until they
are fine-tuned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mmauto.data.columns import DOMAIN
from mmauto.engine.controls import FittedControl
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.losses import TaskLoss
from mmauto.engine.model import MultimodalModel
from mmauto.engine.thresholds import choose_thresholds
from mmauto.registry import Registry
from mmauto.version import __version__
from mmauto.views import Predictions

FORMAT = 1


def save_model(
    folder: Path,
    setup: Setup,
    registry: Registry,
    job: TrialJob,
    model: MultimodalModel,
    inputs: Mapping[str, Inputs],
    loss: TaskLoss,
    valid: Predictions,
) -> None:
    """Write a fusion's bundle; an older one in the same folder is replaced."""
    arrays = {f"model/{name}": value for name, value in model.state_dict().items()}
    about = _about(setup, registry, job, inputs, arrays, valid)
    about["regression"] = {name: [loss.centre[name], loss.spread[name]] for name in loss.centre}
    _write(folder, about, arrays)


def save_control(
    folder: Path,
    setup: Setup,
    registry: Registry,
    job: TrialJob,
    fitted: FittedControl,
    inputs: Mapping[str, Inputs],
) -> None:
    """Write a control's bundle; estimators go through skops."""
    arrays: dict[str, Tensor] = {}
    about = _about(setup, registry, job, inputs, arrays, fitted.valid)
    plain: dict[str, Any] = {}
    estimators = {}
    for name, value in fitted.state.items():
        if isinstance(value, np.ndarray | Tensor):
            arrays[f"control/{name}"] = torch.as_tensor(value)
        elif hasattr(value, "predict"):
            estimators[name] = value
        else:
            plain[name] = value
    about["control"] = {"plain": plain, "estimators": sorted(estimators)}
    _write(folder, about, arrays)
    if estimators:
        from skops.io import dump

        for name, estimator in estimators.items():
            dump(estimator, folder / f"{name}.skops")


def _about(
    setup: Setup,
    registry: Registry,
    job: TrialJob,
    inputs: Mapping[str, Inputs],
    arrays: dict[str, Tensor],
    valid: Predictions,
) -> dict[str, Any]:
    candidate = job.candidate
    columns = {}
    versions = {candidate.component: registry.version_of(candidate.kind, candidate.component)}
    licences = {}
    for key, part in inputs.items():
        plain = {}
        for name, value in part.state.items():
            if isinstance(value, np.ndarray | Tensor):
                arrays[f"state/{key}/{name}"] = torch.as_tensor(value)
            else:
                plain[name] = value
        for name, value in (("mean", part.mean), ("scale", part.scale)):
            if value is not None:
                arrays[f"scaling/{key}/{name}"] = value
        versions[part.encoder.name] = registry.version_of("encoder", part.encoder.name)
        if part.encoder.licence:
            licences[part.encoder.name] = part.encoder.licence
        columns[key] = {
            "modality": part.encoder.modality,
            "encoder": part.encoder.name,
            "fields": dict(setup.dataset.columns[key].fields),
            "source": list(setup.dataset.source(key)),
            "state": plain,
            "form": part.form,
            "tuned": part.tuned,
        }
    return {
        "format": FORMAT,
        "mmauto": __version__,
        "plugins": versions,
        "licences": licences,
        "kind": candidate.kind,
        "component": candidate.component,
        "modalities": list(candidate.modalities),
        "params": dict(candidate.params),
        "seed": job.seed,
        "columns": columns,
        "targets": [asdict(spec) for spec in setup.specs.values()],
        "thresholds": _thresholds(setup, valid),
        "domain": _domain(setup),
        "id": next((g.column for g in setup.dataset.roles if g.role == "id"), "id"),
        "simulated": setup.dataset.simulated,
    }


def _domain(setup: Setup) -> dict[str, list[str]] | None:
    if not setup.domains:
        return None
    return {"source": list(setup.dataset.source(DOMAIN)), "names": list(setup.domains)}


def _thresholds(setup: Setup, valid: Predictions) -> dict[str, list[float]]:
    rows = setup.splits.valid
    found = {}
    for name, given in valid.items():
        metric = setup.metric if name == setup.primary else ""
        truth = setup.targets[name][rows]
        found[name] = choose_thresholds(metric, setup.specs[name], truth, given).tolist()
    return found


def _write(folder: Path, about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.skops"):
        old.unlink()
    # clone: safetensors refuses tensors that share memory, and the model goes on being used
    whole = torch.contiguous_format
    tensors = {n: t.detach().cpu().clone(memory_format=whole) for n, t in arrays.items()}
    try:
        save_file(tensors, folder / "arrays.safetensors")
    except SafetensorError as error:
        if number := re.search(r"\(os error (\d+)\)", str(error)):  # e.g. a full disk
            raise OSError(int(number[1]), str(error)) from error
        raise
    (folder / "bundle.json").write_text(json.dumps(about, indent=1))
