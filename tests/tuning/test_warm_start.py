"""Beginning with what an earlier study found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto.config import StudyConfig, from_mapping
from mmauto.engine.jobs import Outcome
from mmauto.errors import ConfigError
from mmauto.space import Choice
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.warm_start import earlier_best, offers, told
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, TrialState

LABELS = np.array([0, 1])


def config(**changes: Any) -> StudyConfig:
    return from_mapping({"task": "t", "name": "new", **changes})


def arm(name: str, component: str) -> Arm:
    view = ArmView(name, "fusion", component, "early", "")
    return Arm(view, (), {"fusion/width": Choice((1, 2))})


def earlier(folder: Path, metric: str = "accuracy") -> None:
    """A study whose arm ``one`` has values 0.1 to 0.5, the best of them of a pruned trial."""
    task = TaskView("t", {}, {"y": TargetSpec("y", "binary", ("a", "b"))}, "y", metric)
    sides = {"valid": {"y": LABELS}, "test": {"y": LABELS}}
    save_truth(folder, sides, {"valid": None, "test": None}, {"valid": LABELS})
    views = [ArmView("one", "fusion", "concat_mlp", "early", "")]
    store = StudyStore.create(folder, folder.name, {}, task, {}, {}, "", views)
    trials = [NewTrial("one", "search", 0, n, 0, {"fusion/width": n}) for n in range(6)]
    for place, identity in enumerate(store.begin(trials)[:5]):
        state: TrialState = "pruned" if place == 4 else "complete"
        store.finish(Outcome(identity, state, 0.1 * (place + 1), 0, (0.1,)))
    store.close()


def widths(found: dict[str, Any]) -> list[int]:
    return [params["fusion/width"] for params in found["one"]["candidates"]]


def test_the_best_complete_trials_of_each_arm_are_offered(tmp_path: Path) -> None:
    earlier(tmp_path / "old")
    found = earlier_best(config(out=str(tmp_path), warm_start="old"))
    assert widths(found) == [3, 2, 1]
    assert earlier_best(config(warm_start=str(tmp_path / "old"))) == found
    assert earlier_best(config()) == {}


def test_the_earlier_studys_own_metric_says_what_is_best(tmp_path: Path) -> None:
    earlier(tmp_path / "old", "rmse")
    assert widths(earlier_best(config(out=str(tmp_path), warm_start="old"))) == [0, 1, 2]


def test_an_arm_takes_what_one_of_its_name_and_component_found(tmp_path: Path) -> None:
    earlier(tmp_path / "old")
    asking = config(out=str(tmp_path), warm_start="old")
    facts = {"offered": earlier_best(asking)}
    arms = [arm("one", "concat_mlp"), arm("two", "concat_mlp")]
    assert len(offers(facts, arms[0])) == 3
    assert offers(facts, arms[1]) == ()
    assert offers(facts, arm("one", "gmu")) == ()
    assert offers({}, arms[0]) == ()
    assert told(asking, facts, arms) == "1 of 2 arms begin with 3 candidates of the study old"
    assert told(config(), {}, arms) == ""


def test_a_study_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must name an earlier study, 'gone' is none: there is"):
        earlier_best(config(out=str(tmp_path), warm_start="gone"))


@pytest.mark.parametrize("own", ["new", "studies/new"])
def test_a_study_cannot_begin_with_itself(own: str) -> None:
    with pytest.raises(ConfigError, match="a study cannot begin with its own results"):
        config(warm_start=own)
