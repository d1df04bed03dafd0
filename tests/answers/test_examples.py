"""Which rows are worth a look: by brute force, for every kind of target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.examples import ARMS, EACH, answered, picks
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.values import TargetSpec
from mmauto.views import StudyView


def some() -> StudyView:
    """The fake study, won by an arm that is often wrong."""
    study = fake_study(2)
    return replace(study, comparison=replace(study.comparison, winner="tabular alone"))


def on(name: str, metric: str) -> StudyView:
    """The fake study as if ``name`` were its primary target."""
    study = some()
    return replace(study, task=replace(study.task, primary=name, metric=metric))


def labels() -> StudyView:
    """The fake study with two labels that a row may have, by turning its target into them."""
    study = some()
    spec = TargetSpec("tags", "multilabel", ("nodule", "pneumonia"))
    task = replace(study.task, targets={"tags": spec}, primary="tags", metric="f1")
    runs = [
        replace(run, test={"tags": run.test["diagnosis"][:, 1:]}) for run in study.confirmations
    ]
    truth = {
        split: {"tags": np.eye(3)[found["diagnosis"]][:, 1:]}
        for split, found in study.truth.items()
    }
    return replace(study, task=task, confirmations=runs, truth=truth)


def mean(study: StudyView, arm: str | None) -> np.ndarray:
    primary = study.task.primary
    return np.mean([r.test[primary] for r in study.confirmations if r.arm == arm], axis=0)


STUDIES = {
    "classes": some(), "binary": on("urgent", "auroc"), "labels": labels(),
    "numbers": on("stay_days", "rmse"),
}  # fmt: skip


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_no_row_comes_twice_and_none_without_a_label(study: StudyView) -> None:
    found = picks(study)
    rows = [pick.row for pick in found]
    reasons = [pick.why for pick in found]
    assert reasons == ["mistake"] * reasons.count("mistake") + ["disagreement"] * EACH
    assert 1 <= reasons.count("mistake") <= EACH
    assert len(set(rows)) == len(rows)
    assert not np.isnan(study.truth["test"][study.task.primary][rows]).any()
    assert found == picks(study)


def test_the_surest_mistakes_come_first() -> None:
    study = STUDIES["classes"]
    given, truth = mean(study, study.comparison.winner), study.truth["test"]["diagnosis"]
    wrong = [row for row in range(len(truth)) if given[row].argmax() != truth[row]]
    expected = sorted(wrong, key=lambda row: -given[row].max())[:EACH]
    assert [pick.row for pick in picks(study)[:EACH]] == expected
    assert [pick.output for pick in picks(study)[:EACH]] == [given[r].argmax() for r in expected]


def test_arms_are_furthest_apart_on_the_true_class() -> None:
    study = STUDIES["classes"]
    found = study.comparison
    arms = list(dict.fromkeys([found.winner, found.reference]))
    arms += [line.arm.name for line in found.standings if line.arm.name not in arms]
    truth = study.truth["test"]["diagnosis"]
    right = np.array([mean(study, arm)[np.arange(len(truth)), truth] for arm in arms[:ARMS]])
    mistakes = {pick.row for pick in picks(study)[:EACH]}
    order = [row for row in np.argsort(-np.ptp(right, axis=0)).tolist() if row not in mistakes]
    assert [pick.row for pick in picks(study)[EACH:]] == order[:EACH]


def test_for_numbers_the_largest_residuals_are_the_mistakes() -> None:
    study = STUDIES["numbers"]
    residuals = np.abs(
        mean(study, study.comparison.winner)[:, 0] - study.truth["test"]["stay_days"]
    )
    expected = np.argsort(-np.nan_to_num(residuals))[:EACH].tolist()
    assert [pick.row for pick in picks(study)[:EACH]] == expected
    assert {(pick.output, pick.sign) for pick in picks(study)} == {(0, 1)}


def test_a_mistake_is_one_behind_the_threshold() -> None:
    """A probability of 0.3 says yes where the threshold is 0.2."""
    study = on("urgent", "f1")
    runs = [
        replace(
            run,
            test={"urgent": np.full((len(study.ids["test"]), 1), 0.3)},
            thresholds={"urgent": np.array([0.2])},
        )
        for run in study.confirmations
    ]
    study = replace(study, confirmations=runs)
    truth = study.truth["test"]["urgent"]
    found = [pick for pick in picks(study) if pick.why == "mistake"]
    assert [truth[pick.row] for pick in found] == [0.0] * EACH
    assert {pick.sign for pick in found} == {1}
    (told,) = answered(study, [found[0].row])
    assert (told.truth, told.answers[0].says) == ("no", "yes")
    assert told.answers[0].chances == pytest.approx({"no": 0.7, "yes": 0.3})
    assert told.answers[0].right == pytest.approx(0.7)


def test_of_labels_the_wrong_one_is_explained() -> None:
    study = STUDIES["labels"]
    given, truth = mean(study, study.comparison.winner), study.truth["test"]["tags"]
    for pick in picks(study)[:EACH]:
        said = given[pick.row, pick.output] >= 0.5
        assert said != truth[pick.row, pick.output]
        assert pick.sign == (1 if said else -1)
    (told,) = answered(study, [int(np.flatnonzero(truth.sum(axis=1) == 0)[0])])
    assert told.truth == "none"


def test_the_winner_answers_first_with_its_likeliest_classes() -> None:
    study = STUDIES["classes"]
    row = picks(study)[0].row
    (told,) = answered(study, [row])
    first = told.answers[0]
    given = mean(study, study.comparison.winner)[row]
    assert first.arm == study.comparison.winner
    assert study.comparison.reference in [one.arm for one in told.answers]
    assert len(told.answers) == ARMS
    assert list(first.chances.values()) == sorted(given.tolist(), reverse=True)
    assert first.says == next(iter(first.chances)) != told.truth
    assert first.right == pytest.approx(first.chances[told.truth])


def test_a_perfect_winner_has_no_mistakes_and_an_empty_study_no_rows() -> None:
    study = fake_study(2)
    perfect = {"diagnosis": np.eye(3)[study.truth["test"]["diagnosis"]]}
    runs = [
        replace(run, test=perfect) if run.arm == study.comparison.winner else run
        for run in study.confirmations
    ]
    found = picks(replace(study, confirmations=runs))
    assert [pick.why for pick in found] == ["disagreement"] * EACH
    assert picks(empty_study()) == []
