"""A plugin that is installed between two runs of one study joins it; one that leaves, is kept."""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import mmauto
from mmauto.run import resume

pytestmark = pytest.mark.slow

LATE = Path(__file__).parent / "assets" / "late"
SETTINGS: dict[str, Any] = {
    "pack": 1,  # each candidate its own encoder
    "target": "label", "text": "note", "tabular": ["x"], "trials": 5, "epochs": 2,
    "confirm_seeds": 1, "workers": 1, "generation": 5, "controls": ["majority"], "name": "s",
    "exclude": ["joint_auxiliary", "additive_attention", "cross_attention", "logit_product",
                "logit_mean"],
}  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = random.Random(0)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x", "label"])
        for _ in range(120):
            loud, x = source.random() < 0.5, source.gauss(0, 1)
            words = " ".join(source.sample(["a", "dull", "quiet", "day", "again"], 3))
            label = "loud" if loud == (x > 0) else "calm"
            writer.writerow([f"{words} {'noise' if loud else 'silence'}", x, label])
    return tmp_path / "t.csv"


def test_a_new_plugin_joins_on_resume(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mmauto.search(data=str(table), out=str(tmp_path), **SETTINGS)
    before = {trial.id: trial for trial in first.trials()}
    names = {line.arm.name for line in first.view().comparison.standings}
    assert "late_plain" not in names

    monkeypatch.syspath_prepend(str(LATE))
    second = resume(first.folder)
    after = {trial.id: trial for trial in second.trials()}
    assert {key: after[key] for key in before} == before
    fresh = [trial for key, trial in after.items() if key not in before]
    assert {trial.arm for trial in fresh} == {"late_plain"}
    assert len(fresh) == SETTINGS["trials"]
    chosen = {trial.params["text/encoder"] for trial in fresh}
    assert "late_letters" in chosen  # an encoder is a wider choice
    assert chosen <= {"bag_of_words", "minilm", "late_letters"}
    found = {line.arm.name for line in second.view().comparison.standings}
    assert found == names | {"late_plain"}

    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(LATE)])
    third = resume(first.folder)
    assert {line.arm.name for line in third.view().comparison.standings} == found
    assert len(third.trials()) == len(after)
    assert "late_plain" in (third.folder / "report.html").read_text()
