"""What a study is continued with: the settings that it was given, unless they are given anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto import folds, run
from mmauto.config import StudyConfig, from_mapping
from mmauto.errors import ConfigError
from mmauto.store.files import save_truth
from mmauto.store.study import StudyStore
from mmauto.toml import read_toml
from mmauto.tuning.record import write_study_toml
from mmauto.values import TargetSpec, TaskView

KEPT = {
    "time": 600.0, "trial_timeout": 3600.0, "workers": 3, "probe_rows": 0, "subgroup": ["site"],
}  # fmt: skip
TASK = TaskView(
    "t", {"left": "tabular"}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", "accuracy"
)


def begin(config: StudyConfig) -> None:
    """What a search leaves before its first trial."""
    config.folder.mkdir(parents=True)
    sides = {"valid": {"y": np.zeros(2)}, "test": {"y": np.zeros(2)}}
    save_truth(config.folder, sides, {"valid": None, "test": None}, {"valid": np.arange(2)})
    write_study_toml(config.folder / "study.toml", config, {}, "")
    StudyStore.create(config.folder, config.title, config.identity(), TASK, {}, {}, "", []).close()


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[StudyConfig]:
    """The configurations that would have run."""
    found: list[StudyConfig] = []
    monkeypatch.setattr(run, "run", lambda config, watcher: found.append(config))
    return found


def make(folder: Path, **more: Any) -> StudyConfig:
    return from_mapping({"task": "t", "name": "s", "out": str(folder), "trials": 500, **more})


def test_a_study_goes_on_as_it_was_configured(tmp_path: Path, resumed: list[StudyConfig]) -> None:
    config = make(tmp_path, **KEPT)
    begin(config)
    run.resume(tmp_path / "s")
    assert resumed == [config]


def test_what_may_change_can_be_given_anew(tmp_path: Path, resumed: list[StudyConfig]) -> None:
    begin(make(tmp_path, **KEPT))
    run.resume(tmp_path / "s", workers=1, time=60)
    assert resumed == [make(tmp_path, **{**KEPT, "workers": 1, "time": 60.0})]
    with pytest.raises(ConfigError, match="workers"):
        run.resume(tmp_path / "s", workers=-1)


def test_a_study_without_its_study_file_takes_the_usual_settings(
    tmp_path: Path, resumed: list[StudyConfig]
) -> None:
    begin(make(tmp_path, **KEPT))
    (tmp_path / "s" / "study.toml").unlink()
    run.resume(tmp_path / "s")
    assert resumed == [make(tmp_path)]


def test_folds_go_on_with_the_time_of_the_whole(tmp_path: Path, resumed: list[StudyConfig]) -> None:
    config = make(tmp_path, folds=3, **KEPT)
    begin(config.part(1))
    run.resume(tmp_path / "s")
    assert resumed == [config]


def test_the_study_file_of_all_folds_says_what_each_was_given(tmp_path: Path) -> None:
    config = make(tmp_path, folds=3, engine="ray", cpus_per_trial=2.0, **KEPT)
    begin(config.part(1))
    folds.write_whole(config.folder)
    assert from_mapping(read_toml(config.folder / "study.toml")) == config
