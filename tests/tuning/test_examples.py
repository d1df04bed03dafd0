"""The rows are chosen and kept once a winner; whatever happens to the child, the search goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmauto.answered import Shown
from mmauto.answers.examples import picks
from mmauto.config import from_mapping
from mmauto.engine.child_process import LostExecutorError
from mmauto.engine.jobs import ExplainJob
from mmauto.engine.process import ProcessExecutor
from mmauto.store.examples import load_examples
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.tuning import examples as module
from mmauto.tuning.examples import Explaining
from mmauto.tuning.watch import Watcher
from mmauto.views import StudyView


class Listening(Watcher):
    """Keeps what stays on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Child(ProcessExecutor):
    """Tells one part of each row, and then dies where it is told to."""

    def __init__(self, dies: bool = False):
        self.jobs: list[ExplainJob] = []
        self.dies = dies

    def explain(self, job: ExplainJob, take: Callable[[int, str, Any], None]) -> None:
        self.jobs.append(job)
        for place in range(len(job.rows)):
            take(place, "text", Shown("text", words=(str(job.rows[place]),)))
        if self.dies:
            raise LostExecutorError("killed", "ended with signal 9", "")


def explaining(folder: Path, monkeypatch: pytest.MonkeyPatch, study: StudyView, **own: Any):
    monkeypatch.setattr(module, "study_view", lambda store: study)
    store: Any = SimpleNamespace(folder=folder, flush=lambda: None)
    config = from_mapping({"task": "medical", "out": str(folder), **own})
    test = 1000 + np.arange(len(study.ids["test"]))
    return Explaining(store, config, Listening(), test)


def test_the_winner_is_asked_about_the_rows_that_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, child = fake_study(), Child()
    explaining(tmp_path, monkeypatch, study).run(child)
    (job,) = child.jobs
    assert job.folder == str(tmp_path / "models" / str(study.comparison.winner))
    assert job.rows.tolist() == [1000 + pick.row for pick in picks(study)]
    kept = load_examples(tmp_path)
    assert kept is not None
    assert [(row.row, row.why) for row in kept.rows] == [(p.row, p.why) for p in picks(study)]
    assert kept.rows[0].parts["text"].words == (str(job.rows[0]),)


def test_it_is_asked_once_and_again_when_another_arm_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, child = fake_study(), Child()
    explaining(tmp_path, monkeypatch, study).run(child)
    explaining(tmp_path, monkeypatch, study).run(child)
    assert len(child.jobs) == 1
    other = study.comparison.standings[1].arm.name
    changed = replace(study, comparison=replace(study.comparison, winner=other))
    explaining(tmp_path, monkeypatch, changed).run(child)
    assert len(child.jobs) == 2
    kept = load_examples(tmp_path)
    assert kept is not None
    assert kept.arm == other


def test_a_killed_child_becomes_a_note_beside_what_it_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = explaining(tmp_path, monkeypatch, fake_study())
    asks.run(Child(dies=True))
    kept = load_examples(tmp_path)
    assert kept is not None
    expected = ["what the winner looked at could not be told: ended with signal 9"]
    assert asks.watcher.notes == list(kept.notes) == expected
    assert all(row.parts for row in kept.rows)


@pytest.mark.parametrize(
    ("study", "settings"),
    [(fake_study(), {"probe_rows": 0}), (empty_study(), {})],
    ids=["switched off", "nothing confirmed"],
)
def test_nothing_is_asked_where_nothing_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: StudyView, settings: dict[str, Any]
) -> None:
    child = Child()
    explaining(tmp_path, monkeypatch, study, **settings).run(child)
    assert not child.jobs
    assert load_examples(tmp_path) is None
