"""Curves, search, importances and errors as figures: each number is checked by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mmauto_sections import history as history_module
from mmauto_sections import mmauto_sections
from sklearn.metrics import precision_recall_fscore_support

from mmauto.plugin import Figure, StudyView, Table, Text
from mmauto.testing.fakes_study import fake_study
from mmauto.views import Failure, TrialView

SECTIONS = {section.name: section for section in mmauto_sections()}


def render(name: str, study: StudyView) -> list:
    return list(SECTIONS[name].render(study))


def only(kind: type, blocks: list):
    (found,) = (block for block in blocks if isinstance(block, kind))
    return found


def for_target(name: str, metric: str) -> StudyView:
    """The fake study as if ``name`` were its primary target."""
    study = fake_study(3)
    return replace(study, task=replace(study.task, primary=name, metric=metric))


def minimised() -> StudyView:
    """The fake study as if its metric were an error."""
    study = for_target("stay_days", "mae")
    return replace(study, comparison=replace(study.comparison, metric="mae", maximise=False))


def winners(study: StudyView) -> list:
    return [run for run in study.confirmations if run.arm == study.comparison.winner]


# ------------------------------------------------------------------------------------ curves


def test_a_curve_is_the_mean_over_seeds_and_a_short_run_keeps_its_last_value() -> None:
    study = fake_study()
    own = winners(study)[:2]
    runs = (replace(own[0], curve=(0.1, 0.5)), replace(own[1], curve=(0.3, 0.4, 0.7, 0.8)))
    trace = only(Figure, render("curves", replace(study, confirmations=runs))).data[0]
    assert trace["x"] == [1, 2, 3, 4]
    assert trace["y"] == pytest.approx([0.2, 0.45, 0.6, 0.65])


# ----------------------------------------------------------------------------------- history


@pytest.mark.parametrize("study", [fake_study(4), minimised()], ids=["maximised", "minimised"])
def test_the_best_so_far_only_improves(study: StudyView) -> None:
    best = np.maximum if study.comparison.maximise else np.minimum
    lines = [t for t in only(Figure, render("history", study)).data if t["mode"] == "lines"]
    assert [line["name"] for line in lines] == [arm.name for arm in study.arms]
    for line in lines:
        own = [t for t in study.trials if t.arm == line["name"] and t.value is not None]
        assert line["y"] == best.accumulate([trial.value for trial in own]).tolist()
        assert line["x"] == [trial.index + 1 for trial in own]


def test_trials_are_counted_by_state() -> None:
    study = fake_study()
    for row in only(Table, render("history", study)).rows:
        own = [trial.state for trial in study.trials if trial.arm == row[0]]
        assert row[1:4] == [own.count("complete"), own.count("pruned"), own.count("failed")]


def test_a_search_in_which_everything_failed_still_counts() -> None:
    study = fake_study()
    failed = [
        replace(t, state="failed", value=None, curve=(), failure=Failure("nan", "x"))
        for t in study.trials
    ]
    blocks = render("history", replace(study, trials=failed))
    assert "No trial has a result" in only(Text, blocks).text
    assert sum(row[3] for row in only(Table, blocks).rows) == len(failed)


def test_a_parked_arm_is_named_so() -> None:
    study = fake_study()
    arms = [replace(study.arms[0], parked=True), *study.arms[1:]]
    table = only(Table, render("history", replace(study, arms=arms)))
    assert table.rows[0][0] == f"{arms[0].name} (parked)"


def test_many_trials_are_thinned_and_the_caption_says_so() -> None:
    study = fake_study()
    name, most = study.arms[0].name, history_module.MOST_POINTS
    trials = [
        TrialView(i, name, 0, i, "complete", {}, value=i / most, curve=(i / most,))
        for i in range(2 * most + 1)
    ]
    figure = only(Figure, render("history", replace(study, trials=trials)))
    dots, line = figure.data
    assert len(dots["x"]) == len(dots["y"]) == len(dots["marker"]["symbol"]) <= most
    assert "One trial in 3 is drawn" in figure.caption
    assert line["y"][-1] == 2.0  # the best is never thinned away
    few = only(Figure, render("history", replace(study, trials=trials[:most])))
    assert len(few.data[0]["x"]) == most
    assert "is drawn" not in few.caption


# -------------------------------------------------------------------------------- importance


def test_importances_stand_under_their_arms() -> None:
    study = fake_study()
    heat = only(Figure, render("importance", study)).data[0]
    arms = [arm for arm in study.arms if arm.importances]
    assert heat["x"] == [arm.name for arm in arms]
    assert set(heat["y"]) == {name for arm in arms for name in arm.importances}
    for row, name in zip(heat["z"], heat["y"], strict=True):
        assert row == [arm.importances.get(name) for arm in arms]
    # plotly heeds neither end alone: the palest cell would be the least share, not none
    assert (heat["zmin"], heat["zmax"]) == (0, 0.6)


def test_only_the_largest_importances_are_shown_and_the_caption_says_so() -> None:
    study = fake_study()
    shares = {f"p{place}": place / 1000 for place in range(30)}
    arms = [replace(study.arms[0], importances=shares)]
    figure = only(Figure, render("importance", replace(study, arms=arms)))
    assert figure.data[0]["y"] == [f"p{place}" for place in range(16, 30)]
    assert "14 largest of 30" in figure.caption


# --------------------------------------------------------------------------------- confusion


def brute_force(truth, guesses, size: int) -> list[list[float]]:
    counts = [[0.0] * size for _ in range(size)]
    for guess in guesses:
        for true, given in zip(truth, guess, strict=True):
            if not (np.isnan(true) or true < 0):
                counts[int(true)][int(given)] += 1
    return [[cell / max(1.0, sum(row)) for cell in row] for row in counts]


def test_the_confusion_of_several_classes_is_that_of_brute_force() -> None:
    study = fake_study(5)
    truth = study.truth["test"]["diagnosis"].copy()
    truth[:7] = -1  # nobody wrote these down
    study = replace(study, truth={**study.truth, "test": {"diagnosis": truth}})
    heat = only(Figure, render("confusion", study)).data[0]
    guesses = [[int(np.argmax(p)) for p in run.test["diagnosis"]] for run in winners(study)]
    assert np.allclose(heat["z"], brute_force(truth, guesses, 3))
    assert heat["x"] == heat["y"] == list(study.task.targets["diagnosis"].classes)


def test_the_confusion_of_two_classes_is_that_of_brute_force() -> None:
    study = for_target("urgent", "balanced_accuracy")
    heat = only(Figure, render("confusion", study)).data[0]
    guesses = [[p[0] > 0.5 for p in run.test["urgent"]] for run in winners(study)]
    assert np.isnan(study.truth["test"]["urgent"]).any()
    assert np.allclose(heat["z"], brute_force(study.truth["test"]["urgent"], guesses, 2))


def test_each_class_has_the_rates_that_scikit_learn_gives() -> None:
    study = fake_study(5)
    truth = study.truth["test"]["diagnosis"].astype(int)
    table = only(Table, render("confusion", study))
    wanted = np.mean(
        [
            precision_recall_fscore_support(
                truth, run.test["diagnosis"].argmax(1), labels=range(3), zero_division=0
            )[:3]
            for run in winners(study)
        ],
        axis=0,
    )
    assert np.allclose([row[1:4] for row in table.rows], wanted.T)
    assert [row[4] for row in table.rows] == np.bincount(truth, minlength=3).tolist()


def test_a_class_that_the_test_rows_lack_has_an_empty_row() -> None:
    study = fake_study(5)
    truth = np.zeros_like(study.truth["test"]["diagnosis"])
    study = replace(study, truth={**study.truth, "test": {"diagnosis": truth}})
    heat = only(Figure, render("confusion", study)).data[0]
    assert sum(heat["z"][0]) == pytest.approx(1)
    assert heat["z"][1:] == [[0.0] * 3] * 2


def test_a_failed_confirmation_run_is_left_out_of_the_confusion() -> None:
    study = fake_study(5)
    gone = replace(winners(study)[0], seed=99, failure=Failure("oom", "x"), test={}, value=None)
    both = replace(study, confirmations=(gone, *study.confirmations))
    assert render("confusion", both) == render("confusion", study)


def test_a_number_is_drawn_against_the_truth() -> None:
    study = for_target("stay_days", "mae")
    dots, line = only(Figure, render("confusion", study)).data
    truth = study.truth["test"]["stay_days"]
    known = [row for row in range(len(truth)) if not np.isnan(truth[row])]
    assert 0 < len(known) < len(truth)
    assert dots["x"] == [truth[row] for row in known]
    mean = np.mean([[run.test["stay_days"][r, 0] for r in known] for run in winners(study)], axis=0)
    assert np.allclose(dots["y"], mean)
    assert line["x"] == line["y"] == [np.nanmin(truth), np.nanmax(truth)]


def test_several_labels_a_row_have_no_confusion_matrix() -> None:
    study = fake_study()
    spec = replace(study.task.targets["diagnosis"], kind="multilabel")
    task = replace(study.task, targets={"diagnosis": spec})
    labels = {"test": {"diagnosis": np.eye(3)[study.truth["test"]["diagnosis"]]}}
    blocks = render("confusion", replace(study, task=task, truth=labels))
    assert "one class a row" in only(Text, blocks).text
