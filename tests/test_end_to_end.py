"""A whole search on a small table: files, resuming, kills, workers, failures."""

from __future__ import annotations

import csv
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmauto
from mmauto.data.columns import Texts
from mmauto.data.table import read_table
from mmauto.engine.bundle import Bundle
from mmauto.errors import ConfigError, StoreError
from mmauto.registry import load_registry
from mmauto.run import resume
from mmauto.tuning.watch import Watcher
from mmauto.views import TrialView

TOYS = Path(__file__).parent / "assets" / "toys"
QUICK: dict[str, Any] = {
    "target": "label", "text": "note", "tabular": ["x", "y"], "trials": 6, "epochs": 3,
    "confirm_seeds": 2, "fusions": ["concat_mlp", "logit_mean"], "encoders": ["bag_of_words"],
    "exclude": ["logistic"], "workers": 1, "generation": 3, "probe_rows": 0,
}  # fmt: skip
ARMS = {"concat_mlp", "logit_mean", "text_only", "tabular_only", "boosting", "majority"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 rows: the label needs a word of the note and the sign of a number."""
    source, folder = random.Random(0), tmp_path_factory.mktemp("data")
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x", "y", "label"])
        for _ in range(160):
            loud, x = source.random() < 0.5, source.gauss(0, 1)
            note = " ".join(source.sample(["a", "dull", "quiet", "day", "again"], 3))
            label = ("loud" if loud else "calm") if x > 0 else "none"
            writer.writerow([f"{note} {'noise' if loud else 'silence'}", x, source.random(), label])
    return folder


@pytest.fixture(scope="module")
def finished(table: Path, tmp_path_factory: pytest.TempPathFactory) -> mmauto.Study:
    return mmauto.search(
        data=str(table), name="s", out=str(tmp_path_factory.mktemp("out")), **QUICK
    )


def same_trials(one: mmauto.Study, two: mmauto.Study) -> None:
    def rows(study: mmauto.Study) -> list[tuple[Any, ...]]:
        return sorted(
            (t.arm, t.index, t.state, t.value, str(t.params), t.curve) for t in study.trials()
        )

    assert rows(one) == rows(two)
    left, right = one.leaderboard(), two.leaderboard()
    for name in ("arm", "validation", "test", "test_low", "test_high"):
        assert left[name].tolist() == right[name].tolist()


# ------------------------------------------------------------------------------- what is left


def test_every_arm_gets_its_budget_and_is_confirmed(finished: mmauto.Study) -> None:
    assert finished.state == "finished"
    counts = {arm: sum(t.arm == arm for t in finished.trials()) for arm in ARMS}
    assert counts == {**dict.fromkeys(ARMS, 6), "majority": 1}
    assert all(t.state in ("complete", "pruned") for t in finished.trials())
    assert set(finished.leaderboard()["arm"]) == {*ARMS, "ensemble"}
    assert finished.leaderboard()["seeds"].tolist() == [2] * (len(ARMS) + 1)


def test_fusion_wins_where_both_modalities_are_needed(finished: mmauto.Study) -> None:
    view = finished.view()
    assert view.comparison.winner in {"concat_mlp", "logit_mean", "boosting"}
    assert view.comparison.reference in {"text_only", "tabular_only"}
    assert not view.task.simulated
    assert finished.best().arm == view.comparison.winner
    assert finished.best().run.test["label"].shape == (view.rows["test"], 3)


def test_the_files_are_there_and_agree(finished: mmauto.Study) -> None:
    folder = finished.folder
    assert (folder / "report.html").stat().st_size > 100_000
    board = finished.leaderboard()
    stored = json.loads((folder / "leaderboard.json").read_text())
    assert [row["arm"] for row in stored["rows"]] == board["arm"].tolist()
    with (folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["test"]) for row in rows] == pytest.approx(board["test"].tolist())
    assert {path.name for path in (folder / "models").iterdir()} == ARMS
    for path in (folder / "models").rglob("*"):
        assert path.suffix in ("", ".json", ".safetensors", ".skops", ".md"), path


def test_predictions_of_every_finished_trial_are_stored(finished: mmauto.Study) -> None:
    rows = finished.view().rows
    for trial in finished.trials():
        with np.load(finished.folder / "predictions" / f"{trial.id}.npz") as file:
            assert file["valid/label"].shape == (rows["valid"], 3)
            assert "test/label" not in file.files  # the test split is opened by confirmation only


def test_optunas_own_tools_read_the_study(finished: mmauto.Study) -> None:
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{finished.folder / 'study.db'}")
    study = optuna.load_study(study_name="s/concat_mlp", storage=storage)
    ours = [trial for trial in finished.trials() if trial.arm == "concat_mlp"]
    assert len(study.trials) == 6
    assert study.best_value == max(t.value for t in ours if t.state == "complete")
    assert study.trials[0].params["train/lr"] == ours[0].params["train/lr"]
    assert len(optuna.get_all_study_names(storage)) == len(ARMS)
    storage.remove_session()
    storage.engine.dispose()


def test_the_winners_bundle_predicts_as_the_study_says(finished: mmauto.Study, table: Path) -> None:
    columns = read_table(table, target=["label"], text=["note"], tabular=["x", "y"]).columns
    ids = finished.view().ids["test"]
    place = [int(re.sub(r"\D", "", name)) for name in ids]
    assert isinstance(columns["text"], Texts)
    bundle = Bundle(finished.folder / "models" / "concat_mlp", load_registry())
    rows = {key: column.take(_places(table, ids)) for key, column in columns.items()}
    found = bundle.predict(rows)["label"]
    runs = [c for c in finished.view().confirmations if c.arm == "concat_mlp"]
    best = max(runs, key=lambda run: (run.value, -run.seed))
    np.testing.assert_allclose(found, best.test["label"], atol=2e-2)
    assert place


def _places(table: Path, ids: np.ndarray) -> list[int]:
    every = [str(row) for row in read_table(table, target=["label"], text=["note"]).ids]
    return [every.index(str(row)) for row in ids]


def test_show_and_report_commands(
    finished: mmauto.Study, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmauto.cli.main import main

    where = ["--out", str(finished.folder.parent)]
    with pytest.raises(SystemExit) as stop:
        main(["show", "s", *where, "--json"])
    assert stop.value.code == 0
    about = json.loads(capsys.readouterr().out)
    assert about["winner"] == finished.view().comparison.winner
    assert {arm["arm"]: sum(arm["trials"].values()) for arm in about["arms"]}["logit_mean"] == 6
    assert "report.html" in about["files"]
    with pytest.raises(SystemExit):
        main(["show", "s", *where])
    assert "chosen on validation" in capsys.readouterr().out
    (finished.folder / "report.html").unlink()
    with pytest.raises(SystemExit):
        main(["report", "s", *where])
    assert (finished.folder / "report.html").exists()


# --------------------------------------------------------------------------------- continuing


class Counting(Watcher):
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended_trials: list[TrialView] = []

    def saying(self, text: str) -> None:
        self.asked.append(text)

    def ended(self, trial: TrialView) -> None:
        self.ended_trials.append(trial)


def test_the_same_configuration_resumes_and_adds_nothing(
    finished: mmauto.Study, table: Path
) -> None:
    before = len(finished.trials())
    watcher = Counting()
    again = mmauto.search(
        watcher, data=str(table), name="s", out=str(finished.folder.parent), **QUICK
    )
    assert len(again.trials()) == before == len(watcher.ended_trials)
    assert not any("trials" in text or "confirming" in text for text in watcher.asked)


def test_another_configuration_is_refused_with_the_difference(
    finished: mmauto.Study, table: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        mmauto.search(
            data=str(table), name="s", out=str(finished.folder.parent), **{**QUICK, "trials": 9}
        )
    assert "differs in: trials: 6 -> 9; use --name" in str(caught.value)


def test_changed_data_is_refused(finished: mmauto.Study, table: Path, tmp_path: Path) -> None:
    text = (table / "data.csv").read_text()
    (tmp_path / "data.csv").write_text(text.replace("dull", "dim"))
    changed = {**QUICK, "data": str(tmp_path)}
    with pytest.raises(ConfigError, match="data: "):
        mmauto.search(name="s", out=str(finished.folder.parent), **changed)
    original = (table / "data.csv").read_bytes()
    try:
        (table / "data.csv").write_text(text.replace("dull", "dim"))
        with pytest.raises(ConfigError, match="the rows, labels or splits of the data"):
            mmauto.search(data=str(table), name="s", out=str(finished.folder.parent), **QUICK)
    finally:
        (table / "data.csv").write_bytes(original)


def start(table: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "mmauto.cli.main", "search", "--data", str(table), "--name", "s"]
    for key, value in QUICK.items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        words += [f"--{key.replace('_', '-')}", text]
    return subprocess.Popen(
        [*words, "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell gives its background jobs a SIGINT that is ignored, and children inherit it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_trials(process: subprocess.Popen[str], count: int) -> str:
    """Read plain progress lines until ``count`` trials have ended."""
    seen = ""
    assert process.stderr is not None
    for line in process.stderr:
        seen += line
        if re.search(rf"\b{count}/\d+ ", line):
            break
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("trials", [1, 14, 31])
def test_a_killed_search_resumes_to_the_same_trials(
    finished: mmauto.Study, table: Path, tmp_path: Path, trials: int
) -> None:
    process = start(table, tmp_path)
    with process:
        wait_for_trials(process, trials)
        process.kill()
    again = resume(tmp_path / "s")
    same_trials(again, finished)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there_and_says_how_to_go_on(
    finished: mmauto.Study, table: Path, tmp_path: Path
) -> None:
    process = start(table, tmp_path)
    with process:
        wait_for_trials(process, 8)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"mmauto search --resume s --out {tmp_path}" in errors
    assert (tmp_path / "s" / "report.html").exists()
    assert sum(t.state != "running" for t in mmauto.open(tmp_path / "s").trials()) >= 8
    words = ["-m", "mmauto.cli.main", "search", "--resume", "s", "--out", str(tmp_path)]
    run = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "was chosen on validation" in run.stdout
    same_trials(mmauto.open(tmp_path / "s"), finished)


@pytest.mark.slow
def test_workers_do_not_change_the_trials(
    finished: mmauto.Study, table: Path, tmp_path: Path
) -> None:
    two = mmauto.search(data=str(table), name="s", out=str(tmp_path), **{**QUICK, "workers": 2})
    same_trials(two, finished)


@pytest.mark.slow
def test_time_ends_the_search_and_what_ran_is_confirmed(table: Path, tmp_path: Path) -> None:
    start_time = time.monotonic()
    study = mmauto.search(
        data=str(table), out=str(tmp_path), **{**QUICK, "trials": 1000, "time": 12.0}
    )
    assert time.monotonic() - start_time < 60
    assert study.state == "finished"
    assert 0 < len(study.trials()) < 1000
    assert study.view().comparison.winner is not None


# ----------------------------------------------------------------------------------- failures


@pytest.mark.slow
def test_a_faulty_plugin_never_ends_the_study(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TOYS))
    notes: list[str] = []
    watcher = Watcher()
    watcher.note = notes.append  # type: ignore[method-assign]
    study = mmauto.search(
        watcher, data=str(table), out=str(tmp_path),
        **{**QUICK, "fusions": ["concat_mlp", "faulty"], "trials": 8, "generation": 5,
           "space": {"fusion/how": ["raise", "nan", "oom"]}},
    )  # fmt: skip
    faulty = [trial for trial in study.trials() if trial.arm == "faulty"]
    assert len(faulty) == 5  # parked after five failures in a row
    assert {t.failure.kind for t in faulty if t.failure} <= {"plugin", "nan", "oom"}
    assert any("faulty failed 5 times in a row" in note for note in notes)
    assert any(
        "fusion 'faulty' (mmauto-toys 1.0)" in t.failure.message for t in faulty if t.failure
    )
    board = study.leaderboard()
    assert "faulty" not in set(board["arm"])
    assert "concat_mlp" in set(board["arm"])
    assert any("not ranked: faulty" in text for text in study.view().comparison.verdict)


def test_a_missing_study_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a study is a folder with a study\.db"):
        mmauto.open(tmp_path / "none")
    with pytest.raises(StoreError, match=r"a study is a folder with a study\.db"):
        resume(tmp_path / "none")


def test_nothing_of_a_study_is_a_pickle(finished: mmauto.Study) -> None:
    with sqlite3.connect(finished.folder / "study.db") as database:
        rows = database.execute("SELECT params, costs FROM mmauto_trials").fetchall()
    database.close()
    assert all(isinstance(json.loads(params), dict) for params, _ in rows)


def test_questions_after_confirmation_never_take_the_results_with_them(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a plugin that cannot be asked")

    for name in ("Probing.run", "Explaining.run", "optimism_of"):
        monkeypatch.setattr(f"mmauto.conduct.{name}", broken)
    notes: list[str] = []
    watcher = Watcher()
    monkeypatch.setattr(watcher, "note", notes.append)
    few = {**QUICK, "trials": 1, "fusions": ["concat_mlp"], "confirm_seeds": 1}
    study = mmauto.search(watcher, data=str(table), name="s", out=str(tmp_path), **few)
    assert study.state == "finished"
    assert study.view().comparison.winner is not None
    assert (study.folder / "report.html").exists()
    assert sum("a plugin that cannot be asked" in note for note in notes) == 3
