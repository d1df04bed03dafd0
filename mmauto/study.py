"""The facade: what the Python API and the CLI both call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mmauto import folds
from mmauto.answers.compare import leaderboard_rows
from mmauto.answers.view import study_view
from mmauto.config import from_mapping
from mmauto.errors import StoreError, unknown
from mmauto.registry import Registry, load_registry
from mmauto.store.study import StudyStore
from mmauto.tuning.prepare import prepare
from mmauto.views import ConfirmationView, StudyView, TrialView

if TYPE_CHECKING:
    import pandas as pd

    from mmauto.engine.bundle import Bundle
    from mmauto.engine.onnx import Exported
    from mmauto.evaluate import Best, Progress
    from mmauto.predictor import Predictor

MOST_EXPORT_ROWS = 1000
"""Validation rows on which an exported file is compared."""


def stored(folder: Path) -> StudyStore:
    """The store of a study's folder.

    Raises:
        StoreError: there is none.
    """
    store = StudyStore.open(folder)
    if store is None:
        raise StoreError(
            f"a study is a folder with a study.db, {folder} has none; name a study that "
            "`mmauto search` made, and its folder with --out"
        )
    return store


class Study:
    """A stored study.

    Args:
        folder: as `search` left it, e.g. ``studies/medical``.

    Attributes:
        folded: it is a nested cross-validation: figures are those of all folds that are finished;
            a model is that of the fold in which its arm validated best.

    Raises:
        StoreError: there is no study in the folder.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.folded = bool(folds.fold_states(self.folder))
        if not self.folded:
            stored(self.folder).close()
        self._view: StudyView | None = None

    def __repr__(self) -> str:
        return f"<Study {str(self.folder)!r}, {self.state}: leaderboard(), best(), report()>"

    def view(self) -> StudyView:
        """Everything that is stored, with the comparison; read once."""
        if self._view is None and self.folded:
            self._view = folds.pooled_view(self.folder)
        elif self._view is None:
            with closing(stored(self.folder)) as store:
                self._view = study_view(store)
        return self._view

    @property
    def state(self) -> str:
        """``searching``, ``confirming`` or ``finished``; of folds, the one least far."""
        if self.folded:
            return folds.slowest(self.folder)
        with closing(stored(self.folder)) as store:
            return store.state[0]

    def leaderboard(self) -> pd.DataFrame:
        """One row an arm, best on validation first."""
        import pandas as pd

        return pd.DataFrame(leaderboard_rows(self.view().comparison))

    def best(self, arm: str | None = None) -> Best:
        """The winner (or another arm) as a model that predicts: chosen on validation.

        Raises:
            StoreError: nothing has been confirmed yet, or the arm has no result.
        """
        from mmauto.evaluate import Best, kept_run

        owner, name = self._owner(arm)
        return Best(kept_run(owner.view(), name), self.predictor(name))

    def predictor(self, arm: str | None = None, ensemble: bool = False) -> Predictor:
        """The models of this study, ready to predict new rows.

        Args:
            arm: default: the winner.
            ensemble: the confirmed arms averaged as ensemble selection on validation says.

        Raises:
            StoreError: nothing has been confirmed yet, or the arm has no result.
        """
        from mmauto.evaluate import ensemble_of
        from mmauto.predictor import Predictor

        if self.folded:
            owner, name = self._owner(arm)
            found = owner.predictor(name, ensemble)
            found.notes.append(f"the model is that of {owner.folder}, the fold that validated best")
            return found
        view = self._confirmed()
        registry = load_registry()
        if not ensemble:
            return Predictor([self._bundle(self._arm(arm), registry)])
        weights, cuts = ensemble_of(view)
        bundles = [self._bundle(name, registry) for name in weights]
        return Predictor(bundles, list(weights.values()), cuts)

    def evaluate(
        self,
        source: str | Path | pd.DataFrame,
        arm: str | None = None,
        ensemble: bool = False,
        image_folder: str | Path | None = None,
        progress: Progress = lambda done, total: None,
    ) -> StudyView:
        """This study's models on new labelled rows: the same comparison, on those rows.

        Args:
            arm: only this one; default: every confirmed arm.
            ensemble: the ensemble too, as an arm of its own.

        Raises:
            StoreError: nothing has been confirmed yet, or the arm has no result.
            DataError: the rows cannot be used.
        """
        from mmauto.evaluate import ensemble_of, evaluate

        if self.folded:
            return self._owner(arm)[0].evaluate(source, arm, ensemble, image_folder, progress)
        view, registry = self._confirmed(), load_registry()
        confirmed = [line.arm.name for line in view.comparison.standings]
        names = [self._arm(arm)] if arm else confirmed
        bundles = {name: self._bundle(name, registry) for name in names}
        weights, cuts = ensemble_of(view) if ensemble else ({}, {})
        bundles |= {n: self._bundle(n, registry) for n in weights if n not in bundles}
        return evaluate(
            view, bundles, names, (weights, cuts) if ensemble else None, source, image_folder,
            progress,
        )  # fmt: skip

    def export(
        self, arm: str | None = None, path: Path | None = None, int8: bool = False
    ) -> tuple[Exported, int]:
        """An arm's model as ONNX, compared on the validation rows; and how many those were.

        Raises:
            StoreError: nothing has been confirmed yet, or the arm has no result.
            ConfigError: a library is missing, or the arm is no torch model.
            DataError: the study's data is gone, or a component cannot be traced.
        """
        from mmauto.engine.onnx import export_onnx

        if self.folded:
            owner, name = self._owner(arm)
            return owner.export(name, path, int8)
        name, view = self._arm(arm), self.view()
        registry = load_registry()
        stored = {**view.config, "name": self.folder.name, "out": str(self.folder.parent)}
        setup = prepare(from_mapping(stored), registry, "cpu").setup
        rows = setup.splits.valid[:MOST_EXPORT_ROWS]
        found = export_onnx(
            self._bundle(name, registry),
            {key: column.take(rows) for key, column in setup.dataset.columns.items()},
            path or self.folder / "models" / name / "model.onnx",
            int8=int8,
            truth={target: values[rows] for target, values in setup.targets.items()},
            metric=view.task.metric,
        )
        return found, len(rows)

    def _confirmed(self) -> StudyView:
        if not self.view().comparison.standings:
            raise StoreError(
                f"a model needs a confirmed arm, {self.folder} has none yet; continue with "
                f"`mmauto search --resume {self.folder.name} --out {self.folder.parent}`"
            )
        return self.view()

    def _arm(self, name: str | None) -> str:
        found = self._confirmed().comparison
        known = [line.arm.name for line in found.standings]
        chosen = name or found.winner
        if chosen not in known:
            raise StoreError(unknown("confirmed arm", str(chosen), known, source=str(self.folder)))
        return str(chosen)

    def _owner(self, arm: str | None) -> tuple[Study, str]:
        """The study that holds an arm's model, this one or one of its folds, and the arm."""
        self._confirmed()
        if not self.folded:
            return self, self._arm(arm)
        fold, name = folds.best_model(self.folder, arm)
        return Study(self.folder / "folds" / str(fold)), name

    def _bundle(self, arm: str, registry: Registry) -> Bundle:
        from mmauto.engine.bundle import Bundle

        return Bundle(self.folder / "models" / arm, registry)

    def trials(self) -> Sequence[TrialView]:
        """The trials of the search."""
        if self._view is not None or self.folded:
            return self.view().trials
        with closing(stored(self.folder)) as store:  # without a comparison, which takes seconds
            return store.trials()

    def confirmations(self) -> Sequence[ConfirmationView]:
        """The confirmation runs that have ended."""
        if self._view is not None or self.folded:
            return self.view().confirmations
        with closing(stored(self.folder)) as store:
            return store.confirmations()

    def report(self, path: Path | str | None = None, registry: Registry | None = None) -> Path:
        """Write the HTML report and the leaderboard files; the report's path."""
        from mmauto.report.card import write_cards
        from mmauto.report.export import write_leaderboard
        from mmauto.report.page import write_report

        place = Path(path) if path is not None else self.folder / "report.html"
        entries = (registry or load_registry()).all("section").values()
        write_report(self.view(), [e.component for e in entries], place)  # type: ignore[misc]
        write_leaderboard(self.view().comparison, self.folder)
        if self.folded:
            folds.write_whole(self.folder)
        write_cards(self.view(), self.folder)
        return place


def open(path: Path | str) -> Study:
    """A stored study, by its folder."""
    return Study(path)


__all__ = ["Study", "open"]
