"""The sections on probabilities, curves and residuals: words, marks and odd studies."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np
import pytest
from mmauto_sections import mmauto_sections
from mmauto_sections.residuals import MOST_POINTS

from mmauto.blocks import unfolded
from mmauto.plugin import Figure, StudyView, Table, TargetSpec, Text, abstention, reliability
from mmauto.report.blocks import render_block
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.values import Kind

NAMES = ("calibration", "rankings", "confusion")
SECTIONS = {section.name: section for section in mmauto_sections()}
HOSTILE = ("<img src=x onerror=alert(1)>", "a & b </script>", '"; <b>c')


def render(name: str, study: StudyView) -> list:
    return list(unfolded(SECTIONS[name].render(study)))


def figures(blocks: list) -> list[Figure]:
    return [block for block in blocks if isinstance(block, Figure)]


def tables(blocks: list) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def words(blocks: list) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Text))


def of_kind(kind: Kind) -> StudyView:
    """The fake study with a primary target of this kind."""
    study = fake_study(2)
    names: dict[Kind, str] = {
        "binary": "urgent", "multiclass": "diagnosis", "regression": "stay_days",
        "multilabel": "diagnosis",
    }  # fmt: skip
    spec, metric = study.task.targets[names[kind]], "accuracy" if kind != "regression" else "rmse"
    if kind == "multilabel":
        spec = replace(spec, kind="multilabel")
        for split in ("valid", "test"):
            study.truth[split]["diagnosis"] = np.eye(3)[study.truth[split]["diagnosis"]]  # type: ignore[index]
    targets = {**study.task.targets, spec.name: spec}
    return replace(
        study, task=replace(study.task, targets=targets, primary=spec.name, metric=metric)
    )


def with_truth(study: StudyView, labels: np.ndarray) -> StudyView:
    """The same study with other labels of its test rows."""
    test = {**study.truth["test"], study.task.primary: labels}
    return replace(study, truth={**study.truth, "test": test})


KINDS: tuple[Kind, ...] = ("binary", "multiclass", "multilabel", "regression")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["as they are", "one class", "unobserved"])
def test_every_kind_of_target_renders_whatever_its_labels(kind: Kind, labels: str) -> None:
    study = of_kind(kind)
    truth = np.array(study.truth["test"][study.task.primary], dtype=float)
    if labels == "one class":
        study = with_truth(study, np.ones_like(truth))
    elif labels == "unobserved":
        study = with_truth(study, np.full_like(truth, -1 if kind == "multiclass" else np.nan))
    for name in NAMES:
        for block in render(name, study):
            json.dumps(asdict(block), allow_nan=False)
            assert render_block(block, "x")
            if isinstance(block, Table):
                assert {len(row) for row in block.rows} <= {len(block.columns)}


@pytest.mark.parametrize("name", NAMES)
def test_a_study_without_runs_says_nothing(name: str) -> None:
    assert render(name, empty_study()) == []


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.add(tag)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_hostile_class_names_are_inert(kind: Kind) -> None:
    study = of_kind(kind)
    spec = study.task.targets[study.task.primary]
    odd = TargetSpec(spec.name, spec.kind, HOSTILE[: len(spec.classes)])
    study = replace(study, task=replace(study.task, targets={spec.name: odd}))
    for name in NAMES:
        blocks = render(name, study)
        page = "".join(render_block(block, "x") for block in blocks)
        assert not {"img", "b"} & Tags(page).found
        for figure in figures(blocks):
            # plotly draws tags in texts, so that none may be left in what it is given
            drawn = json.dumps([figure.data, figure.layout]).replace("<br>", "")
            drawn = drawn.replace("<extra></extra>", "")
            assert "<" not in drawn


# ------------------------------------------------------------------------------- calibration


def sharpened(study: StudyView, power: float) -> StudyView:
    """The fake study with the winner's logits multiplied."""

    def changed(given: np.ndarray) -> np.ndarray:
        raised = given**power
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    runs = [
        replace(
            run,
            valid={"diagnosis": changed(run.valid["diagnosis"])},
            test={"diagnosis": changed(run.test["diagnosis"])},
        )
        for run in study.confirmations
    ]
    return replace(study, confirmations=runs)


def test_overconfidence_is_said_in_words_with_its_size() -> None:
    study = fake_study(2)
    noisy = study.truth["test"]["diagnosis"].copy()
    noisy[::3] = (noisy[::3] + 1) % 3
    said = words(render("calibration", sharpened(with_truth(study, noisy), 4.0)))
    assert f"{study.comparison.winner} is over-confident: on average it gives its answer 9" in said
    assert "and is right in 6" in said
    assert "a difference of +" in said


def test_the_share_right_is_that_of_the_decisions_which_the_errors_count() -> None:
    study = fake_study(2)
    task = replace(study.task, primary="urgent", metric="balanced_accuracy")
    runs = [replace(r, thresholds={"urgent": np.array([0.8])}) for r in study.confirmations]
    study = replace(study, task=task, confirmations=runs)
    (found, *_), (left, *_) = reliability(study), abstention(study)
    truth = study.truth["test"]["urgent"]
    own = [r.test["urgent"][:, 0] > 0.8 for r in runs if r.arm == study.comparison.winner]
    right = np.mean([(one == truth)[~np.isnan(truth)].mean() for one in own])
    assert found.raw.accuracy == pytest.approx(right)
    assert found.raw.accuracy == pytest.approx(1 - left.errors[-1])
    assert found.scaled is not None
    assert found.scaled.accuracy == pytest.approx(right)


def test_underconfidence_is_undone_by_a_temperature() -> None:
    blocks = render("calibration", sharpened(fake_study(2), 0.5))
    assert "is under-confident" in words(blocks)
    assert "use scaled probabilities" in words(blocks)
    names = [trace["name"] for trace in figures(blocks)[0].data]
    assert names[0] == "as they are"
    assert names[1].startswith("logits divided by 0.")
    assert [row[0] for row in tables(blocks)[0].rows] == ["cross_attention"] * 2 + [
        "text alone"
    ] * 2


def test_where_chance_may_account_for_it_nothing_is_claimed() -> None:
    study = fake_study(2)
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(3), 120)
    labels = np.array([rng.choice(3, p=row) for row in given])
    runs = [replace(run, valid={}, test={"diagnosis": given}) for run in study.confirmations]
    blocks = render("calibration", replace(with_truth(study, labels), confirmations=runs))
    assert "these test rows cannot tell" in words(blocks)
    assert "logits" not in words(blocks)
    assert len(figures(blocks)[0].data) == 2  # as they are, and the line of exact ones


def test_pooled_folds_of_a_bent_target_say_where_to_look() -> None:
    study = of_kind("binary")
    blocks = render("calibration", replace(study, ids=dict.fromkeys(("valid", "test"), np.r_[:9])))
    assert "in the reports of the folds" in words(blocks)
    assert len(figures(blocks)) == 1  # errors by share answered need no probability


def test_the_best_single_modality_stands_beside_the_winner() -> None:
    study = fake_study(2)
    curve = figures(render("calibration", study))[1]
    names = [trace["name"].rpartition(" (")[0] for trace in curve.data]
    assert names == [study.comparison.winner, study.comparison.reference]
    wrong = [
        (run.test["diagnosis"].argmax(1) != study.truth["test"]["diagnosis"]).mean()
        for run in study.confirmations
        if run.arm == study.comparison.winner
    ]
    assert curve.data[0]["y"][-1] == pytest.approx(np.mean(wrong))


def test_residuals_are_predictions_less_truth_and_counted_once() -> None:
    study = of_kind("regression")
    dots, spread = figures(render("calibration", study))
    truth = study.truth["test"]["stay_days"]
    known = ~np.isnan(truth)
    runs = [r.test["stay_days"][:, 0] for r in study.confirmations if r.arm == "cross_attention"]
    guess = np.mean(runs, axis=0)[known]
    assert sorted(dots.data[0]["y"]) == pytest.approx(sorted(guess - truth[known]))
    assert sum(spread.data[0]["y"]) == known.sum()
    assert "is drawn" not in dots.caption


def test_many_rows_are_thinned_and_the_caption_says_so() -> None:
    study = of_kind("regression")
    times = 2 * MOST_POINTS // 120 - 1
    runs = [
        replace(run, test={"stay_days": np.tile(run.test["stay_days"], (times, 1))})
        for run in study.confirmations
    ]
    study = with_truth(study, np.tile(study.truth["test"]["stay_days"], times))
    study = replace(study, confirmations=runs)
    for name in ("calibration", "confusion"):
        figure = figures(render(name, study))[0]
        assert len(figure.data[0]["x"]) <= MOST_POINTS
        assert "One row in 2 is drawn" in figure.caption


# ---------------------------------------------------------------------------------- rankings


def test_several_classes_have_a_curve_each_and_two_arms_one() -> None:
    roc, precision = figures(render("rankings", of_kind("multiclass")))
    assert [trace["name"].split(" (")[0] for trace in precision.data] == [
        "normal", "nodule", "pneumonia",
    ]  # fmt: skip
    assert roc.data[-1]["name"].startswith("by chance")
    roc, precision = figures(render("rankings", of_kind("binary")))
    assert [trace["name"].split(" (")[0] for trace in precision.data] == [
        "cross_attention", "text alone",
    ]  # fmt: skip
    assert all(len(trace["x"]) == len(trace["y"]) for trace in (*roc.data, *precision.data))


def test_test_rows_of_one_class_have_no_curves() -> None:
    study = with_truth(fake_study(2), np.zeros(120, dtype=int))
    assert "need test rows of a class and others" in words(render("rankings", study))
    assert render("rankings", of_kind("regression")) == []


# --------------------------------------------------------------------------------- confusion


def test_labels_have_a_table_with_areas_and_classes_one_without() -> None:
    (labels,) = tables(render("confusion", of_kind("multilabel")))
    assert labels.columns[0] == "label"
    assert labels.columns[-1] == "AUROC, 95 %"
    assert [row[0] for row in labels.rows] == ["normal", "nodule", "pneumonia"]
    (classes,) = tables(render("confusion", of_kind("multiclass")))
    assert classes.columns[-1] == "F1, 95 %"
    for row in classes.rows:
        for value, text in zip(row[1:4], row[5:8], strict=True):
            low, high = (float(end) for end in text.strip("[]").split(", "))
            assert low <= value <= high


def test_a_class_that_no_test_row_has_shows_dashes() -> None:
    study = with_truth(fake_study(2), np.zeros(120, dtype=int))
    (table,) = tables(render("confusion", study))
    assert table.rows[1][1:5] == [0.0, None, None, 0]
    assert table.rows[1][6:8] == ["–", "–"]
