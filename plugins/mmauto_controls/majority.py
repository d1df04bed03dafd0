"""The majority class: what a model must beat before anything else counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmauto.plugin import Control, Params, State, TargetSpec
from mmauto_controls.parts import assemble, constant, parts


class Majority(Control):
    """The train rows' class frequencies, or their mean, for every row."""

    name = "majority"
    summary = "class frequencies (or the mean) of the train rows, whatever the input"
    reference = "scikit-learn DummyClassifier, strategy 'prior'"
    once = True

    def fit(
        self,
        features: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
        specs: Mapping[str, TargetSpec],
        params: Params,
        seed: int,
    ) -> State:
        """``constants``: part of a target -> frequencies or mean."""
        found = {part.key: constant(part, part.labels(targets)[1]) for part in parts(specs)}
        return {"constants": found}

    def predict(
        self, features: Mapping[str, np.ndarray], state: State, specs: Mapping[str, TargetSpec]
    ) -> Mapping[str, np.ndarray]:
        """Target -> (N, width), all rows alike."""
        rows = len(next(iter(features.values())))
        return assemble(
            specs, {key: np.tile(value, (rows, 1)) for key, value in state["constants"].items()}
        )
