"""A study's models on new labelled rows, and the model that a study recommends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mmauto.answers.compare import compare
from mmauto.answers.ensemble import select_ensemble
from mmauto.data.inputs import NewRows, read_labels, read_rows
from mmauto.engine.bundle import Bundle, predict_parts
from mmauto.engine.metrics import METRICS
from mmauto.engine.thresholds import choose_thresholds
from mmauto.findings import Finding
from mmauto.predictor import Predictor, wanted_by
from mmauto.space import Params
from mmauto.views import ArmView, ConfirmationView, Costs, Predictions, StudyView

if TYPE_CHECKING:
    import pandas as pd

Progress: TypeAlias = Callable[[int, int], None]
"""(rows done, rows in all)."""

Ensemble: TypeAlias = tuple[Mapping[str, float], Predictions]
"""Weights by arm, and thresholds by target."""

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Best:
    """An arm's best confirmation run, and its model.

    Attributes:
        run: chosen on validation, estimated on test.
    """

    run: ConfirmationView
    model: Predictor

    def __repr__(self) -> str:
        return (
            f"<Best {self.run.arm!r}, {self.run.value} on validation: predict(), predict_proba()>"
        )

    @property
    def arm(self) -> str:
        """Its name."""
        return self.run.arm

    @property
    def value(self) -> float | None:
        """The validation metric."""
        return self.run.value

    @property
    def params(self) -> Params:
        """Every hyper-parameter."""
        return self.run.params

    @property
    def costs(self) -> Costs:
        """What it costs to train and use."""
        return self.run.costs

    def predict(self, source: str | Path | pd.DataFrame, target: str | None = None) -> pd.Series:
        """The decision for each row; see `mmauto.predictor.Predictor.predict`."""
        return self.model.predict(source, target)

    def predict_proba(
        self, source: str | Path | pd.DataFrame, target: str | None = None
    ) -> pd.DataFrame:
        """Probabilities by class; see `mmauto.predictor.Predictor.predict_proba`."""
        return self.model.predict_proba(source, target)


def kept_run(view: StudyView, arm: str) -> ConfirmationView:
    """The confirmation run whose model is kept: best on validation, then the first seed."""
    sign = 1.0 if METRICS[view.task.metric].maximise else -1.0
    runs = [run for run in view.confirmations if run.arm == arm and run.value is not None]
    return max(runs, key=lambda run: (sign * (run.value or 0.0), -run.seed))


def ensemble_of(view: StudyView) -> Ensemble:
    """The kept models of the arms that the study's own ensemble averages, with its weights."""
    primary = view.task.primary
    spec, truth = view.task.targets[primary], view.truth["valid"]
    kept = {line.arm.name: kept_run(view, line.arm.name) for line in view.comparison.standings}
    if view.comparison.ensemble is not None:
        weights = dict(view.comparison.ensemble.weights)
    else:
        valid = {name: run.valid[primary] for name, run in kept.items()}
        weights = select_ensemble(valid, spec, truth[primary], view.task.metric)
    cuts = {}
    for name, target in view.task.targets.items():
        mean = np.sum([weight * kept[arm].valid[name] for arm, weight in weights.items()], axis=0)
        metric = view.task.metric if name == primary else ""
        cuts[name] = choose_thresholds(metric, target, truth[name], mean)
    return weights, cuts


def evaluate(
    view: StudyView,
    bundles: Mapping[str, Bundle],
    names: Sequence[str],
    ensemble: Ensemble | None,
    source: str | Path | pd.DataFrame,
    image_folder: str | Path | None,
    progress: Progress,
) -> StudyView:
    """The study's view with the new rows in place of its test split.

    Args:
        bundles: arm -> model, those of the ensemble included.
        names: arms to compare.

    Raises:
        DataError: the rows cannot be used, or have no labels.
    """
    every = list(bundles.values())
    rows = read_rows(
        source, wanted_by(every), id=every[0].about.get("id", "id"), image_folder=image_folder
    )
    specs = view.task.targets
    truth, notes = read_labels(rows, specs, str(view.config.get("separator", "")))
    parts: dict[str, list[Predictions]] = {name: [] for name in bundles}
    for place, each in predict_parts(every, rows.columns):
        for name, found in zip(bundles, each, strict=True):
            parts[name].append(found)
        progress(place.stop, len(rows.ids))
    given = {
        name: {t: np.concatenate([part[t] for part in found]) for t in specs}
        for name, found in parts.items()
    }
    chosen_by = {line.arm.name: line.validation for line in view.comparison.standings}
    runs = [
        # one model an arm: seed 0 for all, so that they are compared on the same rows in pairs; and
        # the study's own validation means, so that nothing is chosen anew
        replace(
            kept_run(view, name),
            seed=0,
            value=chosen_by[name],
            test=given[name],
            thresholds=bundles[name].thresholds,
        )
        for name in names
    ]
    arms = [arm for arm in view.arms if arm.name in names]
    if ensemble is not None:
        runs.append(_ensemble_run(view, ensemble, given))
        arms.append(_ensemble_arm(ensemble))
    labels = {name: truth.get(name, np.full(len(rows.ids), np.nan)) for name in specs}
    whole = {"valid": view.truth["valid"], "test": labels}
    groups = {**view.groups, "test": _groups(view, rows)}
    said = [*rows.notes, *notes, *(n for bundle in every for n in bundle.notes)]
    findings = [*_known_rows(view, rows, every[0]), *(Finding("reading", t) for t in said)]
    return replace(
        view,
        name=f"{view.name} on {rows.table.path.name}",
        arms=arms,
        trials=(),
        confirmations=runs,
        truth=whole,
        groups=groups,
        ids={**view.ids, "test": rows.ids},
        rows={"evaluated": len(rows.ids)},
        ceiling={},
        probes=None,
        examples=None,
        optimism={},
        subgroups={},
        findings=list(dict.fromkeys(findings)),
        comparison=compare(view.task, arms, (), runs, whole, groups, ceiling={}),
    )


def _known_rows(view: StudyView, rows: NewRows, bundle: Bundle) -> list[Finding]:
    """Rows whose ids the study has used; row numbers tell nothing."""
    if bundle.about.get("id", "id") not in rows.table.values:
        return []
    ids = set(rows.ids.tolist())
    counts = {side: len(ids & {str(i) for i in found}) for side, found in view.ids.items()}
    said = ", ".join(f"{count} {side}" for side, count in counts.items() if count)
    if not said:
        return []
    text = f"the study has seen rows with these ids: {said}"
    action = (
        "scored; figures on training rows are far too good" if counts.get("train") else "scored"
    )
    return [Finding("seen_rows", text, action, warning=bool(counts.get("train")))]


def _groups(view: StudyView, rows: NewRows) -> np.ndarray | None:
    name = str(view.config.get("group") or "")
    if view.groups.get("test") is None or name not in rows.table.values:
        return None
    cells = rows.table.cells(name)
    own = [str(c) if c is not None else f"row {i}" for i, c in zip(rows.ids, cells, strict=True)]
    return np.array(own, dtype=object)


def _ensemble_arm(ensemble: Ensemble) -> ArmView:
    made_of = ", ".join(f"{weight:.0%} {name}" for name, weight in ensemble[0].items())
    return ArmView(ENSEMBLE, "fusion", ENSEMBLE, "ensemble", f"weighted mean of {made_of}")


def _ensemble_run(
    view: StudyView, ensemble: Ensemble, given: Mapping[str, Predictions]
) -> ConfirmationView:
    """The ensemble as if it were one run.

    Its own validation value would be optimistic, since it was picked greedily on those rows; the
    mean of its members' stands for it, so that it is never taken for the winner.
    """
    weights, cuts = ensemble
    kept = {name: kept_run(view, name) for name in weights}
    members = {line.arm.name: line.validation for line in view.comparison.standings}

    def mean(of: Mapping[str, Predictions], target: str) -> np.ndarray:
        return np.asarray(np.sum([w * of[name][target] for name, w in weights.items()], axis=0))

    valid = {t: mean({n: run.valid for n, run in kept.items()}, t) for t in view.task.targets}
    value = sum(weight * members[name] for name, weight in weights.items())
    seconds = sum(run.costs.train_seconds for run in kept.values())
    return ConfirmationView(
        ENSEMBLE, 0, -1, {}, value, (), valid, {t: mean(given, t) for t in view.task.targets},
        Costs(seconds, sum(run.costs.parameters for run in kept.values())), None, cuts,
    )  # fmt: skip
