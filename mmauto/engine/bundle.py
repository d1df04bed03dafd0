"""A trained candidate as a folder of safetensors and JSON: nothing in it is ever unpickled.

``bundle.json`` holds the candidate, the targets, the encoders' states and the versions of the
plugins; ``arrays.safetensors`` holds weights and array states; a control's scikit-learn estimators
stand in ``NAME.skops``. Weights of frozen encoders stay in the package that brings them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmauto.contracts import State
from mmauto.engine.compat import mend_torchvision
from mmauto.engine.controls import FittedControl, as_rows
from mmauto.engine.features import Inputs, precision
from mmauto.engine.jobs import Candidate, Setup, TrialJob
from mmauto.engine.losses import TaskLoss, predictions
from mmauto.engine.model import MultimodalModel
from mmauto.errors import DataError
from mmauto.registry import Registry
from mmauto.values import Column, TargetSpec
from mmauto.version import __version__
from mmauto.views import Predictions

FORMAT = 1
PREDICT_BATCH = 256


def save_model(
    folder: Path,
    setup: Setup,
    registry: Registry,
    job: TrialJob,
    model: MultimodalModel,
    inputs: Mapping[str, Inputs],
    loss: TaskLoss,
) -> None:
    """Write a fusion's bundle; an older one in the same folder is replaced."""
    arrays = {f"model/{name}": value for name, value in model.state_dict().items()}
    about = _about(setup, registry, job, inputs, arrays)
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
    about = _about(setup, registry, job, inputs, arrays)
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
) -> dict[str, Any]:
    candidate = job.candidate
    columns = {}
    versions = {candidate.component: registry.version_of(candidate.kind, candidate.component)}
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
        columns[key] = {
            "modality": part.encoder.modality,
            "encoder": part.encoder.name,
            "fields": dict(setup.dataset.columns[key].fields),
            "state": plain,
        }
    return {
        "format": FORMAT,
        "mmauto": __version__,
        "plugins": versions,
        "kind": candidate.kind,
        "component": candidate.component,
        "modalities": list(candidate.modalities),
        "params": dict(candidate.params),
        "seed": job.seed,
        "columns": columns,
        "targets": [asdict(spec) for spec in setup.specs.values()],
        "simulated": setup.dataset.simulated,
    }


def _write(folder: Path, about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.skops"):
        old.unlink()
    # clone: safetensors refuses tensors that share memory, and the model goes on being used
    save_file(
        {
            n: t.detach().cpu().clone(memory_format=torch.contiguous_format)
            for n, t in arrays.items()
        },
        folder / "arrays.safetensors",
    )
    (folder / "bundle.json").write_text(json.dumps(about, indent=1))


class Bundle:
    """A loaded bundle: predicts from raw columns, without the study.

    Args:
        folder: as written by `save_model` or `save_control`.
        registry: must hold the plugins that the bundle names.

    Raises:
        DataError: the folder is no bundle of this format.
        ConfigError: a plugin that it needs is not installed.
    """

    def __init__(self, folder: Path, registry: Registry, device: str = "cpu"):
        try:
            self.about = json.loads((folder / "bundle.json").read_text())
            self.arrays = load_file(folder / "arrays.safetensors", device=device)
            known = self.about["format"] == FORMAT
        except Exception as error:
            raise DataError(
                f"a bundle is a folder with bundle.json and arrays.safetensors, {folder} cannot be "
                f"read as one ({error}); give the folder models/ARM of a study"
            ) from error
        if not known:
            raise DataError(
                f"this mmauto reads bundles of format {FORMAT}, {folder} has format "
                f"{self.about['format']}; use the release that wrote it ({self.about['mmauto']})"
            )
        mend_torchvision()
        self.folder, self.registry, self.device = folder, registry, torch.device(device)
        self.specs = {
            spec["name"]: TargetSpec(spec["name"], spec["kind"], tuple(spec["classes"]))
            for spec in self.about["targets"]
        }
        self.candidate = Candidate(
            self.about["kind"],
            self.about["component"],
            tuple(self.about["modalities"]),
            self.about["params"],
        )

    def predict(self, columns: Mapping[str, Column]) -> Predictions:
        """{target: (N, width)} probabilities, or numbers in the target's own unit."""
        inputs = {key: self._inputs(key, columns[key]) for key in self.candidate.modalities}
        if self.candidate.kind == "control":
            return self._predict_control(inputs)
        model = MultimodalModel(self.candidate, inputs, self.specs, self.registry)
        model.load_state_dict(self._under("model/"))
        model.to(self.device).eval()
        total = len(next(iter(columns.values())))
        parts = []
        with torch.inference_mode(), precision(self.device):
            for rows in self._slices(total):
                arrays = {
                    key: {name: array[rows] for name, array in part.arrays.items()}
                    for key, part in inputs.items()
                }
                present = {key: part.present[rows] for key, part in inputs.items()}
                parts.append(model(arrays, present).outputs)
        outputs = {name: torch.cat([part[name] for part in parts]) for name in self.specs}
        return predictions(self.specs, outputs, self.about["regression"])

    def _predict_control(self, inputs: Mapping[str, Inputs]) -> Predictions:
        from skops.io import get_untrusted_types, load

        state: dict[str, Any] = dict(self.about["control"]["plain"])
        state |= {name: value.cpu().numpy() for name, value in self._under("control/").items()}
        for name in self.about["control"]["estimators"]:
            file = self.folder / f"{name}.skops"
            odd = [
                t
                for t in get_untrusted_types(file=file)
                if not t.startswith(("sklearn.", "numpy."))
            ]
            if odd:
                raise DataError(
                    f"a bundle may hold scikit-learn and numpy types only, {file} holds "
                    f"{', '.join(odd)}; do not load it unless you know who made it"
                )
            state[name] = load(file, trusted=get_untrusted_types(file=file))
        control = self.registry.control(self.candidate.component, str(self.folder))
        rows = {key: as_rows(part) for key, part in inputs.items()}
        return control.predict(rows, state, self.specs)

    def _inputs(self, key: str, column: Column) -> Inputs:
        about = self.about["columns"][key]
        encoder = self.registry.encoder(about["encoder"], str(self.folder))
        params = self.candidate.encoder_params(key)
        state: State = {**about["state"], **self._under(f"state/{key}/")}
        arrays = {
            name: torch.as_tensor(value).to(self.device)
            for name, value in encoder.prepare(column, state, params).items()
        }
        present = torch.from_numpy(column.present).to(self.device)
        frozen = encoder.frozen(params)
        scaling = self._under(f"scaling/{key}/")
        if frozen:
            arrays = self._encode(encoder.build(state, params), arrays, present)
        return Inputs(
            column, encoder, params, state, arrays, present, encoder.features(state, params),
            frozen, scaling.get("mean"), scaling.get("scale"),
        )  # fmt: skip

    def _encode(
        self, module: torch.nn.Module, arrays: Mapping[str, Tensor], present: Tensor
    ) -> dict[str, Tensor]:
        module.to(self.device).eval()
        values, masks = [], []
        with torch.inference_mode(), precision(self.device):
            for rows in self._slices(len(present)):
                tokens = module(**{name: array[rows] for name, array in arrays.items()})
                values.append(tokens.values.float())
                masks.append(tokens.mask)
        return {"values": torch.cat(values), "mask": torch.cat(masks)}

    def _slices(self, total: int) -> list[slice]:
        return [slice(start, start + PREDICT_BATCH) for start in range(0, total, PREDICT_BATCH)]

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): value
            for name, value in self.arrays.items()
            if name.startswith(prefix)
        }
