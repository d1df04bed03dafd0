"""A whole search that fine-tunes: what is confirmed, stored, predicted and resumed."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import mmauto
from mmauto.data.table import read_table
from mmauto.engine.bundle import Bundle
from mmauto.registry import load_registry
from mmauto.run import resume
from mmauto.tuning.watch import Watcher

pytestmark = pytest.mark.slow

TOYS = Path(__file__).parent / "assets" / "toys"
SETTINGS: dict[str, Any] = {
    "target": "label", "text": "note", "tabular": ["x", "n"], "trials": 8, "epochs": 4,
    "confirm_seeds": 2, "workers": 1, "fusions": ["concat_mlp"], "controls": ["majority"],
    "encoders": ["bag_of_words", "toy_tunable"], "finetune": "top1", "finetune_epochs": 8,
    "name": "s",
}  # fmt: skip


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The label needs a word and the sign of x, which the frozen tokens leave out."""
    monkeypatch.syspath_prepend(str(TOYS))
    source = random.Random(0)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x", "n", "label"])
        for _ in range(200):
            loud, x = source.random() < 0.5, source.gauss(0, 1)
            label = ("loud" if loud else "calm") if x > 0 else "none"
            note = f"a dull {'noise' if loud else 'silence'} again"
            writer.writerow([note, x, source.gauss(0, 1), label])
    return tmp_path / "t.csv"


def test_the_best_candidates_are_confirmed_fine_tuned(table: Path, tmp_path: Path) -> None:
    totals: dict[str, int] = {}
    ended: list[str] = []

    class Counts(Watcher):
        def started(self, arms: Any, given: Any, seeds: int, maximise: bool) -> None:
            totals.update(given)

        def ended(self, trial: Any) -> None:
            ended.append(trial.arm)

    study = mmauto.search(Counts(), data=str(table), out=str(tmp_path), **SETTINGS)
    assert {name: ended.count(name) for name in totals} == totals
    extra = [trial for trial in study.trials() if "train/finetune" in trial.params]
    assert {trial.arm for trial in extra} == {"concat_mlp", "tabular_only"}
    view = study.view()
    tuned = {c.arm for c in view.confirmations if c.params.get("train/finetune") == 8}
    assert tuned == {"concat_mlp", "tabular_only"}

    registry = load_registry()
    bundle = Bundle(study.folder / "models" / "concat_mlp", registry)
    about = json.loads((bundle.folder / "bundle.json").read_text())
    assert [about["columns"][key]["tuned"] for key in ("text", "tabular")] == [False, True]
    dataset = read_table(table, target="label", text="note", tabular=["x", "n"])
    ids = view.ids["test"]
    rows = [list(dataset.ids).index(name) for name in ids]
    found = bundle.predict({key: c.take(rows) for key, c in dataset.columns.items()})
    stored = [c.test["label"] for c in view.confirmations if c.arm == "concat_mlp"]
    nearest = min(np.abs(found["label"] - one).max() for one in stored)
    assert nearest < 1e-2  # words are cached in half precision

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mirrored = optuna.load_study(
        study_name="s/tabular_only", storage=f"sqlite:///{study.folder}/study.db"
    )
    assert len(mirrored.trials) == 9
    assert resume(study.folder).trials() == study.trials()
