"""``mmauto trials``: what was tried, what failed and why."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmauto.cli.main import main
from mmauto.engine.jobs import Outcome
from mmauto.store.study import NewTrial, StudyStore
from mmauto.testing.fakes_study import fake_study
from mmauto.views import Costs, Failure

Run = Callable[..., tuple[int, str, str]]

OOM = Failure(
    "oom",
    "fusion 'x' (p 1.0): OutOfMemoryError: [bold]no[/bold] \x1b[31mroom",
    'File "x.py", line 3, in forward\n    return wide @ wide\nOutOfMemoryError',
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A study with a complete, a failed and a running trial, and a confirmation that failed."""
    monkeypatch.setenv("COLUMNS", "140")
    view = fake_study()
    folder = tmp_path / "one"
    folder.mkdir()
    store = StudyStore.create(
        folder, "one", {"seed": 0}, view.task, {"rows": {}}, {}, "mmauto search", view.arms
    )
    arms = ("concat_mlp", "concat_mlp", "text alone")
    fresh = [
        NewTrial(arm, "search", 0, place, 0, {"train/lr": 0.01 * (place + 1), "note": "=1+1"})
        for place, arm in enumerate(arms)
    ]
    done, failed, _ = store.begin(fresh)
    store.finish(
        Outcome(done, "complete", 0.75, 1, (0.5, 0.75), seconds=3.25, costs=Costs(3.0, 10))
    )
    costs = Costs(peak_memory=1_500_000_000)
    store.finish(Outcome(failed, "failed", seconds=12.34, costs=costs, failure=OOM))
    (again,) = store.begin([NewTrial("concat_mlp", "confirm", 0, 2, 7, {}, done)])
    late = Failure("killed", "signal 9", "")
    store.finish(Outcome(again, "failed", costs=Costs(60.0), failure=late))
    store.close()

    def called(*given: str, name: str = "one") -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["trials", name, *given, "--out", str(tmp_path)])
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return called


def test_all_trials_are_listed_with_their_state(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["trial", "arm", "run", "state", "value", "seconds", "epochs", "memory"]
    assert lines[1] == ["1", "concat_mlp", "search", "complete", "0.7500", "3.2", "2", "-"]
    assert lines[3][-6:] == ["search", "running", "-", "0.0", "0", "-"]
    assert "everything about one: mmauto trials one 1" in out


def test_failed_ones_show_class_memory_seconds_and_message_as_plain_text(run: Run) -> None:
    _, out, _ = run("--failed")
    lines = out.splitlines()
    assert len([line for line in lines if "concat_mlp" in line]) == 2
    assert lines[1].split()[:7] == ["2", "concat_mlp", "search", "oom", "1.5", "GB", "12.3"]
    assert "[bold]no[/bold]" in out
    assert "\x1b[31m" not in out
    assert lines[2].split()[:7] == ["1", "concat_mlp", "confirmation", "3", "killed", "-", "60.0"]


def test_one_trial_is_shown_with_its_parameters_and_where_it_broke(run: Run) -> None:
    _, out, _ = run("2")
    assert "class: oom" in out
    assert "memory: 1.5 GB" in out
    assert "train/lr = 0.02" in out
    assert "    return wide @ wide" in out
    _, repeated, _ = run("1")
    assert "run: confirmation 3" in repeated  # of the same candidate


def test_json_and_csv_hold_the_same_and_no_formula(run: Run) -> None:
    rows = json.loads(run("--format", "json", "--arm", "concat_mlp")[1])
    assert [row["trial"] for row in rows] == [1, 2, 1]
    assert rows[1]["traceback"] == OOM.traceback
    assert rows[1]["peak_memory"] == 1_500_000_000
    cells = list(csv.DictReader(io.StringIO(run("--format", "csv", "--failed")[1])))
    assert [cell["class"] for cell in cells] == ["oom", "killed"]
    assert json.loads(cells[0]["params"]) == {"train/lr": 0.02, "note": "=1+1"}
    assert "traceback" not in cells[0]


def test_where_nothing_failed_it_says_so(run: Run) -> None:
    assert run("--failed", "--arm", "text alone")[1] == "No trial failed.\n"


def test_an_unknown_number_or_arm_is_refused(run: Run) -> None:
    code, _, error = run("99")
    assert code == 2
    assert "a trial's number is one that `mmauto trials one` lists, 99 is not" in error
    code, _, error = run("--arm", "concat")
    assert "unknown arm with trials 'concat' (from --arm); did you mean 'concat_mlp'?" in error
    assert "has none; name a study" in run(name="two")[2]


def test_a_study_of_folds_names_one_of_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmauto.study.folds.fold_states", lambda folder: {1: "finished"})
    code, _, error = run()
    assert code == 2
    assert "name one of them, e.g. one/folds/1" in error


@pytest.mark.parametrize("width", [60, 80, 140])
def test_values_are_never_cut(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run()
    assert code == 0
    table = out.splitlines()[:-1]
    assert max(map(len, table)) <= width
    assert any("0.7500" in line and "complete" in line for line in table)
    assert "value" in table[0]
    _, out, _ = run("--failed")
    assert "oom" in out
