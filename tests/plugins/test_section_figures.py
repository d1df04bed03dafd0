"""Errors as figures: each number is checked by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mmauto_sections import mmauto_sections
from sklearn.metrics import precision_recall_fscore_support

from mmauto.blocks import unfolded
from mmauto.plugin import Figure, StudyView, Table, Text
from mmauto.testing.fakes_study import fake_study
from mmauto.views import Failure

SECTIONS = {section.name: section for section in mmauto_sections()}


def render(name: str, study: StudyView) -> list:
    return list(unfolded(SECTIONS[name].render(study)))


def only(kind: type, blocks: list):
    (found,) = (block for block in blocks if isinstance(block, kind))
    return found


def for_target(name: str, metric: str) -> StudyView:
    """The fake study as if ``name`` were its primary target."""
    study = fake_study(3)
    return replace(study, task=replace(study.task, primary=name, metric=metric))


def winners(study: StudyView) -> list:
    return [run for run in study.confirmations if run.arm == study.comparison.winner]


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
