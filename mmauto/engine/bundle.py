"""A trained candidate, read from its folder: predicts from raw columns, without the study.

Nothing in a bundle is ever unpickled; `mmauto.engine.save` says what stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from mmauto.contracts import State
from mmauto.data.columns import DOMAIN
from mmauto.engine.about import check_about
from mmauto.engine.allowance import Allowance
from mmauto.engine.batches import domain_codes
from mmauto.engine.compat import mend_torchvision
from mmauto.engine.controls import as_rows
from mmauto.engine.digests import digest
from mmauto.engine.encode import ENCODE_BATCH
from mmauto.engine.features import Inputs
from mmauto.engine.forms import shaped
from mmauto.engine.jobs import Candidate
from mmauto.engine.losses import predictions
from mmauto.engine.model import MultimodalModel
from mmauto.engine.once import PLAIN, Formed, once, precision, slices
from mmauto.engine.save import FORMAT
from mmauto.engine.source import PREPARE_IMAGES
from mmauto.errors import ConfigError, DataError, MmautoError
from mmauto.registry import Registry
from mmauto.values import Column, TargetSpec
from mmauto.views import Predictions

Memo = dict[str, dict[str, Tensor]]

PLAIN_TYPES = (
    *("sklearn._loss.", "sklearn.ensemble._hist_gradient_boosting.", "sklearn.tree._tree."),
    *("sklearn.linear_model._sgd_fast.", "sklearn.neighbors._kd_tree.", "sklearn.metrics._dist_"),
    *("sklearn.neighbors._ball_tree.", "sklearn.utils._bunch.Bunch"),
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    *("sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration"),
    *(
        f"sklearn.gaussian_process.kernels.{kernel}"
        for kernel in ("RBF", "Matern", "ConstantKernel", "WhiteKernel", "Sum", "Product")
    ),
)
"""Modules of scikit-learn, and single classes of others, that hold what its estimators learned, and
nothing that runs a text or opens a file: other ones, and numpy's, have functions that do."""


class Bundle:
    """A loaded bundle.

    Args:
        folder: as written by `mmauto.engine.save`.
        registry: must hold the plugins that the bundle names.

    Attributes:
        about: ``bundle.json``.
        notes: what differs from where the bundle was made, e.g. a plugin's version.

    Raises:
        DataError: the folder is no bundle of this format.
        ConfigError: a plugin that it needs is not installed.
    """

    def __init__(self, folder: Path, registry: Registry, device: str = "cpu"):
        try:
            self.about = json.loads((folder / "bundle.json").read_text())
            known = self.about["format"] == FORMAT
            if known:
                check_about(self.about)
            self.arrays = load_file(folder / "arrays.safetensors", device=device)
        except Exception as error:
            raise DataError(
                f"a bundle is a folder with bundle.json and arrays.safetensors, {folder} cannot be "
                f"read as one ({error}); give the folder models/ARM of a study"
            ) from error
        if not known:
            raise DataError(
                f"this mmauto reads bundles of format {FORMAT}, {folder} has format "
                f"{self.about['format']!r}; use the release that wrote it "
                f"({self.about.get('mmauto', 'unknown')})"
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
        self.notes = self._check_plugins()
        self._once: dict[str, Formed | None] = {}
        self._model: MultimodalModel | None = None

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Target -> ``(width,)`` cuts; empty where the largest probability decides."""
        return {name: np.array(cuts) for name, cuts in self.about.get("thresholds", {}).items()}

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that have an adapter of their own."""
        return tuple((self.about.get("domain") or {}).get("names", ()))

    def predict(self, columns: Mapping[str, Column]) -> Predictions:
        """{target: (N, width)} probabilities, or numbers in the target's own unit."""
        parts = [found for _, (found,) in predict_parts([self], columns)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.specs}

    def part(self, columns: Mapping[str, Column], memo: Memo) -> Predictions:
        """The same for columns that fit into memory.

        Args:
            memo: encoded inputs, shared by bundles that read the same columns.
        """
        try:
            inputs = {
                key: self.inputs(key, columns[key], memo) for key in self.candidate.modalities
            }
            return self.answer(inputs, columns.get(DOMAIN))
        except MmautoError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or ["no reason given"]
            made_with = ", ".join(sorted(set(self.about["plugins"].values())))
            raise DataError(
                f"a bundle's plugins must find what they saved in it, those of {self.folder} "
                f"failed ({type(error).__name__}: {lines[0]}); copy the bundle again, or tell the "
                f"plugins' authors ({made_with})"
            ) from error

    def answer(self, inputs: Mapping[str, Inputs], domains: Column | None = None) -> Predictions:
        """The same from what the model reads, all modalities of the candidate."""
        if self.candidate.kind == "control":
            table = {key: as_rows(part) for key, part in inputs.items()}
            control = self.registry.control(self.candidate.component, str(self.folder))
            return control.predict(table, self._control_state, self.specs)
        model = self.model(inputs)
        found = []
        whole = {key: part.arrays for key, part in inputs.items()}
        if self.domains and domains is not None:
            codes = domain_codes(domains, self.domains)
            whole[DOMAIN] = {"code": codes.to(self.device)}
        with torch.inference_mode(), precision(self.device):
            for rows in slices(len(next(iter(inputs.values())).present), ENCODE_BATCH):
                arrays = {
                    key: {name: array[rows] for name, array in part.items()}
                    for key, part in whole.items()
                }
                present = {key: part.present[rows] for key, part in inputs.items()}
                found.append(model(arrays, present).outputs)
        outputs = {name: torch.cat([part[name] for part in found]) for name in self.specs}
        return predictions(self.specs, outputs, self.about["regression"])

    def model(self, inputs: Mapping[str, Inputs]) -> MultimodalModel:
        """The trained network, in evaluation mode; built once."""
        if self._model is None:
            weights = self._under("model/")
            with Allowance(sum(value.numel() for value in weights.values())):
                model = MultimodalModel(
                    self.candidate, inputs, self.specs, self.registry, len(self.domains)
                )
            model.load_state_dict(weights)
            self._model = model.to(self.device).eval()
        return self._model

    def _check_plugins(self) -> list[str]:
        """Notes on other versions than the bundle was made with.

        Raises:
            ConfigError: a component is not installed.
        """
        needed = {self.candidate.component: str(self.candidate.kind)}
        needed |= {column["encoder"]: "encoder" for column in self.about["columns"].values()}
        notes = []
        for name, kind in needed.items():
            made_with = self.about["plugins"].get(name, "an unknown release")
            if name not in self.registry.all(kind):
                raise ConfigError(
                    f"a bundle needs the plugins it was made with, {self.folder} needs {kind} "
                    f"{name!r} of {made_with}, which is not installed here; install "
                    f"{made_with.replace(' ', '==')}"
                )
            here = self.registry.version_of(kind, name)
            if here != made_with:
                notes.append(
                    f"the bundle was made with {kind} {name!r} of {made_with}, this is {here}: "
                    "predictions may differ"
                )
        return notes

    @cached_property
    def _control_state(self) -> dict[str, Any]:
        from skops.io import get_untrusted_types, load

        state: dict[str, Any] = dict(self.about["control"]["plain"])
        state |= {name: value.cpu().numpy() for name, value in self._under("control/").items()}
        for name in self.about["control"]["estimators"]:
            file = self.folder / f"{name}.skops"
            types = get_untrusted_types(file=file)
            odd = [name for name in types if not name.startswith(PLAIN_TYPES)]
            if odd:
                raise DataError(
                    f"a bundle may hold scikit-learn's estimators and their data only, {file} "
                    f"holds {', '.join(odd)}; do not load it unless you know who made it"
                )
            state[name] = load(file, trusted=types)
        return state

    def inputs(self, key: str, column: Column, memo: Memo | None = None) -> Inputs:
        """One modality as the model reads it."""
        about = self.about["columns"][key]
        encoder = self.registry.encoder(about["encoder"], str(self.folder))
        params = self.candidate.encoder_params(key)
        state: State = {**about["state"], **self._under(f"state/{key}/")}
        present = torch.from_numpy(column.present).to(self.device)
        tuned = about.get("tuned", False)
        frozen = encoder.frozen(params) and not tuned
        memo = {} if memo is None else memo
        form = about.get("form", PLAIN)  # older bundles ran as built
        name = digest([key, encoder.name, dict(params), digest(state), form, tuned])
        if name not in memo:
            arrays = {
                name: torch.as_tensor(value).to(self.device)
                for name, value in encoder.prepare(column, state, params).items()
            }
            if name not in self._once:
                module = None if tuned else once(encoder, state, params, self.device)
                self._once[name] = None if module is None else shaped(module, form, arrays)
            formed = self._once[name]
            if formed is not None:
                with torch.inference_mode():
                    arrays = formed(**arrays)
            memo[name] = arrays
        scaling = self._under(f"scaling/{key}/")
        return Inputs(
            column, encoder, params, state, memo[name], present, encoder.features(state, params),
            frozen, scaling.get("mean"), scaling.get("scale"), form,
        )  # fmt: skip

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): value
            for name, value in self.arrays.items()
            if name.startswith(prefix)
        }


def predict_parts(
    bundles: Sequence[Bundle], columns: Mapping[str, Column]
) -> Iterator[tuple[slice, list[Predictions]]]:
    """Predictions of every bundle, part by part, so that memory stays bounded.

    Bundles that read a column through the same frozen encoder share its tokens.
    """
    total = len(next(iter(columns.values())))
    for rows in slices(total, PREPARE_IMAGES):
        numbers = np.arange(rows.start, rows.stop)
        part = {key: column.take(numbers) for key, column in columns.items()}
        memo: Memo = {}
        yield rows, [bundle.part(part, memo) for bundle in bundles]
