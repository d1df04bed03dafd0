"""A nested cross-validation from end to end: stopped after its first fold, resumed, used."""

from __future__ import annotations

import csv
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

import mmauto
from mmauto.config import from_mapping
from mmauto.errors import ConfigError, StoreError
from mmauto.folds import best_model, fold_states, unfinished
from mmauto.run import resume
from mmauto.store.files import save_truth
from mmauto.store.study import StudyStore
from mmauto.testing.fakes_study import fake_study
from mmauto.tuning.watch import Watcher

QUICK: dict[str, Any] = {
    "target": "label", "text": "note", "tabular": ["x", "y"], "trials": 1, "epochs": 1,
    "confirm_seeds": 1, "fusions": ["concat_mlp"], "encoders": ["bag_of_words"], "probe_rows": 0,
    "exclude": ["logistic", "boosting"], "workers": 1, "folds": 3, "metric": "accuracy",
}  # fmt: skip
ARMS = {"concat_mlp", "text_only", "tabular_only", "majority"}


class Stopping(Watcher):
    """Stops the search as soon as a fold begins, as Ctrl-C does."""

    def __init__(self, before: str = ""):
        self.before = before
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        if text == self.before:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 rows whose labels have nothing to do with them."""
    source, folder = random.Random(3), tmp_path_factory.mktemp("data")
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x", "y", "label"])
        for row in range(60):
            note = " ".join(source.sample(["a", "dull", "quiet", "day", "again", "here"], 4))
            label = "yes" if row % 2 else "no"
            writer.writerow([note, source.gauss(0, 1), source.random(), label])
    return folder / "data.csv"


@pytest.mark.slow
def test_a_stopped_search_resumes_at_the_next_fold(table: Path, tmp_path: Path) -> None:
    asked = {**QUICK, "data": str(table), "name": "s", "out": str(tmp_path)}
    with pytest.raises(KeyboardInterrupt):
        mmauto.search(Stopping("fold 2 of 3"), **asked)
    folder = tmp_path / "s"
    _first_fold_is_readable(folder)
    before = (folder / "folds" / "1" / "study.db").read_bytes()
    with pytest.raises(ConfigError, match=r"differs in: trials: 1 -> 2; use --name for a new"):
        mmauto.search(**{**asked, "trials": 2})
    with pytest.raises(ConfigError, match=r"s differs in: folds: 3 -> 0; use --name for a new"):
        mmauto.search(**{**asked, "folds": 0})

    watcher = Stopping()
    study = resume(folder, watcher)
    assert [note for note in watcher.notes if note.startswith("fold")] == [
        "fold 2 of 3", "fold 3 of 3",
    ]  # fmt: skip
    assert (folder / "folds" / "1" / "study.db").read_bytes() == before
    assert study.state == "finished"
    _all_rows_are_tested_once(study)
    _nothing_is_claimed(study)
    _files_are_written(folder)
    _the_best_fold_predicts(study, table)
    again = Stopping()
    mmauto.search(again, **asked)
    assert again.notes == ["all folds are finished; nothing is left to train"]


def _first_fold_is_readable(folder: Path) -> None:
    study = mmauto.open(folder)
    assert study.state == "searching"
    assert study.view().rows == {"tested once": 20}
    assert (
        "Of a nested 3-fold cross-validation 1 of the folds can be counted so far: 20 rows were "
        "tested once."
    ) in study.view().comparison.verdict
    assert (folder / "report.html").is_file()


def _all_rows_are_tested_once(study: mmauto.Study) -> None:
    view = study.view()
    assert sorted(view.ids["test"].tolist(), key=int) == [str(row) for row in range(1, 61)]
    assert set(study.leaderboard()["arm"]) >= ARMS
    assert {t.arm for t in study.trials()} == ARMS
    assert len(study.trials()) == 3 * len(ARMS)
    assert view.name == "s"
    assert "--folds 3" in view.command
    assert "--fold " not in view.command
    assert "--name s " in f"{view.command} "


def _nothing_is_claimed(study: mmauto.Study) -> None:
    said = " ".join(study.view().comparison.verdict)
    assert "cross-validation: each of the 60 rows was tested once" in said
    assert "This data cannot decide whether fusion helps" in said
    assert "helps here" not in said


def _files_are_written(folder: Path) -> None:
    told = json.loads((folder / "leaderboard.json").read_text())
    assert {row["arm"] for row in told["rows"]} >= ARMS
    page = (folder / "report.html").read_text()
    assert "nested 3-fold cross-validation" in page
    assert 'class="broken"' not in page
    values = tomllib.loads((folder / "study.toml").read_text())
    assert (values["name"], values["folds"], values["probe_rows"]) == ("s", 3, 0)


def _the_best_fold_predicts(study: mmauto.Study, table: Path) -> None:
    best = study.best()
    winners = [mmauto.open(study.folder / "folds" / str(fold)).best() for fold in (1, 2, 3)]
    fold, arm = best_model(study.folder, None)
    assert (best.arm, best.value) == (arm, winners[fold - 1].value)
    assert best.value == max(winner.value or 0.0 for winner in winners)
    with pytest.raises(StoreError, match="'nothing'"):
        study.predictor("nothing")
    assert best.model.notes[-1] == (
        f"the model is that of {study.folder / 'folds' / str(fold)}, the fold that validated best"
    )
    assert len(best.predict(table)) == 60
    assert study.evaluate(table, arm="text_only").rows == {"evaluated": 60}
    # the ensemble is that of one fold, too
    assert len(study.predictor(ensemble=True).predict(table)) == 60


def test_a_part_knows_its_whole() -> None:
    whole = from_mapping({"task": "medical", "folds": 4, "name": "m", "out": "o", "time": 100})
    part = whole.part(2)
    assert part.folder == Path("o/m/folds/2")
    assert (part.fold, part.time) == (2, 25.0)
    assert part.whole.folder == whole.folder
    assert part.whole.fold == 0
    assert whole.whole == whole
    assert {k: v for k, v in part.identity().items() if k != "fold"} == {
        k: v for k, v in whole.identity().items() if k != "fold"
    }


def test_a_warm_start_is_found_from_within_a_fold(tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    whole = from_mapping(
        {"task": "medical", "folds": 3, "name": "m", "out": str(tmp_path), "warm_start": "early"}
    )
    assert whole.part(1).warm_start == str(tmp_path / "early")


def test_a_warm_started_search_continues_with_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    asked = {"task": "medical", "folds": 3, "name": "m", "out": str(tmp_path)}
    whole = from_mapping({**asked, "warm_start": "early"})
    first, view = whole.part(1), fake_study()
    save_truth(first.folder, view.truth, view.groups, view.ids)
    StudyStore.create(
        first.folder, first.name, first.identity(), view.task, {}, {}, "", view.arms
    ).close()
    (tmp_path / "early").rmdir()  # what it offered is stored
    left = [part for part, _ in unfinished(whole, Watcher())]
    assert [part.fold for part in left] == [1, 2, 3]
    assert left[0].identity() == first.identity()
    named = from_mapping({**asked, "warm_start": str(tmp_path / "early")})
    assert next(unfinished(named, Watcher()))[0].fold == 1
    other = from_mapping({**asked, "warm_start": "late"})
    with pytest.raises(ConfigError, match=r"differs in: warm_start: '.*early' -> 'late'; use"):
        next(unfinished(other, Watcher()))
    with pytest.raises(ConfigError, match=r"differs in: warm_start: '.*early' -> 'unset'; use"):
        next(unfinished(from_mapping(asked), Watcher()))


def test_a_study_without_folds_is_its_own_part() -> None:
    config, watcher = from_mapping({"task": "medical"}), Watcher()
    assert list(unfinished(config, watcher)) == [(config, watcher)]
    assert fold_states(config.folder / "nothing here") == {}


def test_folds_are_not_put_into_another_study(tmp_path: Path) -> None:
    config = from_mapping({"task": "medical", "folds": 3, "name": "m", "out": str(tmp_path)})
    config.folder.mkdir()
    (config.folder / "study.db").touch()
    with pytest.raises(ConfigError, match=r"m differs in: folds: 0 -> 3; use --name for a new"):
        next(unfinished(config, Watcher()))


@pytest.mark.parametrize("folds", [1, 2, 21, -1])
def test_an_odd_number_of_folds_is_refused(folds: int) -> None:
    with pytest.raises(ConfigError, match=rf"--folds must be from 3 to 20, it is {folds}; leave"):
        from_mapping({"task": "medical", "folds": folds})
