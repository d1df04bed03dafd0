"""Trained models put to use: tables in, probabilities and decisions out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmauto.data.columns import DOMAIN
from mmauto.data.inputs import NewRows, Wanted, read_rows
from mmauto.engine.bundle import Bundle, predict_parts
from mmauto.errors import ConfigError, unknown
from mmauto.registry import Registry, load_registry
from mmauto.values import TargetSpec
from mmauto.views import Predictions

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """One model, or the weighted mean of several that read the same columns.

    Args:
        bundles: all for the same targets.
        weights: of each bundle, summing to 1.
        thresholds: target -> ``(width,)`` cuts chosen on validation; default: the one bundle's.

    Attributes:
        notes: what differs from where the models were made.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        weights: Sequence[float] = (1.0,),
        thresholds: Predictions | None = None,
    ):
        self.bundles, self.weights = list(bundles), list(weights)
        self.specs: Mapping[str, TargetSpec] = bundles[0].specs
        self.thresholds = bundles[0].thresholds if thresholds is None else thresholds
        self.notes = [note for bundle in bundles for note in bundle.notes]

    @property
    def wanted(self) -> dict[str, Wanted]:
        """The columns that the models read."""
        return wanted_by(self.bundles)

    def read(
        self, source: str | Path | pd.DataFrame, image_folder: str | Path | None = None
    ) -> NewRows:
        """The rows of a table, with what is missing noted.

        Raises:
            DataError: as `mmauto.data.inputs.read_rows`.
        """
        return read_rows(
            source, self.wanted, id=self.bundles[0].about.get("id", "id"), image_folder=image_folder
        )

    def stream(self, rows: NewRows) -> Iterator[tuple[slice, Predictions]]:
        """Predictions part by part: {target: (n, width)}."""
        for place, each in predict_parts(self.bundles, rows.columns):
            yield place, self.mean(each)

    def mean(self, each: Sequence[Predictions]) -> Predictions:
        """The weighted mean of the models' predictions."""
        return {
            name: np.sum([w * p[name] for w, p in zip(self.weights, each, strict=True)], axis=0)
            for name in self.specs
        }

    def predict_proba(
        self,
        source: str | Path | pd.DataFrame,
        target: str | None = None,
        image_folder: str | Path | None = None,
    ) -> pd.DataFrame:
        """One column a class, one row a row of ``source``, indexed by its ids.

        Args:
            source: a table (a path or a data frame); columns that it lacks count as missing.
            target: default: the primary one.

        Raises:
            ConfigError: the target is a number, or unknown.
            DataError: as `read`.
        """
        import pandas as pd

        spec = self._spec(target)
        if spec.kind == "regression":
            raise ConfigError(
                f"probabilities are of classes, {spec.name!r} is a number; use predict()"
            )
        rows, given = self._all(source, spec, image_folder)
        return pd.DataFrame(
            by_class(spec, given), index=_index(source, rows), columns=list(spec.classes)
        )

    def predict(
        self,
        source: str | Path | pd.DataFrame,
        target: str | None = None,
        image_folder: str | Path | None = None,
    ) -> pd.Series:
        """The decision for each row: a class, a tuple of labels, or a number.

        Args and errors: as `predict_proba`.
        """
        import pandas as pd

        spec = self._spec(target)
        rows, given = self._all(source, spec, image_folder)
        decided, _ = decide(spec, given, self.thresholds.get(spec.name))
        return pd.Series(decided, index=_index(source, rows), name=spec.name)

    def _spec(self, target: str | None) -> TargetSpec:
        name = target or next(iter(self.specs))
        if name not in self.specs:
            raise ConfigError(unknown("target", name, self.specs))
        return self.specs[name]

    def _all(
        self, source: str | Path | pd.DataFrame, spec: TargetSpec, folder: str | Path | None
    ) -> tuple[NewRows, np.ndarray]:
        rows = self.read(source, folder)
        return rows, np.concatenate([part[spec.name] for _, part in self.stream(rows)])


def _index(source: str | Path | pd.DataFrame, rows: NewRows) -> pd.Index:
    """A data frame's own index, else the ids."""
    import pandas as pd

    return source.index if isinstance(source, pd.DataFrame) else pd.Index(rows.ids, name="id")


def wanted_by(bundles: Sequence[Bundle]) -> dict[str, Wanted]:
    """The columns that any of the bundles reads, by key."""
    found: dict[str, Wanted] = {}
    for bundle in bundles:
        for key, about in bundle.about["columns"].items():
            sources = tuple(about.get("source") or about["fields"] or (key,))
            found[key] = Wanted(about["modality"], sources, about["fields"])
        if bundle.domains:
            found[DOMAIN] = Wanted(DOMAIN, tuple(bundle.about["domain"]["source"]), {})
    return found


def by_class(spec: TargetSpec, given: np.ndarray) -> np.ndarray:
    """``(N, width)`` predictions -> ``(N, classes)`` probabilities."""
    return np.column_stack([1 - given[:, 0], given[:, 0]]) if spec.kind == "binary" else given


def decide(
    spec: TargetSpec, given: np.ndarray, thresholds: np.ndarray | None
) -> tuple[list[object], np.ndarray]:
    """What each row is taken for, and how sure that is.

    Args:
        given: ``(N, width)`` probabilities, or numbers.
        thresholds: ``(width,)`` cuts of binary and multilabel targets; default 0.5.

    Returns:
        Classes, tuples of labels or numbers; and ``(N,)`` the probability of what was decided (of
        its least sure label for multilabel; NaN for a number).
    """
    if spec.kind == "regression":
        return given[:, 0].tolist(), np.full(len(given), np.nan)
    if spec.kind == "multiclass":
        return [spec.classes[place] for place in given.argmax(1)], given.max(1)
    cut = thresholds if thresholds is not None and len(thresholds) else np.array(0.5)
    yes = given >= cut
    sure = np.where(yes, given, 1 - given).min(1)
    if spec.kind == "binary":
        return [spec.classes[int(one)] for one in yes[:, 0]], sure
    names = np.array(spec.classes, dtype=object)
    return [tuple(names[row]) for row in yes], sure


def load_bundle(path: str | Path, registry: Registry | None = None) -> Predictor:
    """A trained model from its folder (``studies/NAME/models/ARM``), without the study.

    Raises:
        DataError: the folder is no bundle.
        ConfigError: a plugin that it needs is not installed.
    """
    return Predictor([Bundle(Path(path), registry or load_registry())])
