"""Calibration, abstention, curves and rates against known worlds and against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics

from mmauto.answers import rankings as rankings_module
from mmauto.answers.abstention import abstention, risks
from mmauto.answers.rankings import GRID, rankings
from mmauto.answers.rates import class_rates
from mmauto.answers.reliability import fit_temperature, reliability, tempered
from mmauto.values import Kind, TargetSpec, TaskView
from mmauto.views import (
    ArmView,
    Comparison,
    ConfirmationView,
    Failure,
    Predictions,
    StudyView,
)

NAMES = ("a", "b", "c", "d")


def study(
    kind: Kind,
    truth: dict[str, np.ndarray],
    runs: Sequence[dict[str, np.ndarray]],
    classes: tuple[str, ...] = NAMES,
    groups: np.ndarray | None = None,
    cut: float | None = None,
    ids: dict[str, np.ndarray] | None = None,
) -> StudyView:
    """A study whose winner gave these predictions; ``truth`` and runs are by split."""
    spec = TargetSpec("y", kind, classes)
    metric = "rmse" if kind == "regression" else "accuracy"
    arm = ArmView("best", "fusion", "concat", "early", "made up")
    thresholds: Predictions = {} if cut is None else {"y": np.full(spec.width, cut)}
    return StudyView(
        "made up", TaskView("t", {"m": "text"}, {"y": spec}, "y", metric), {}, "", {}, [arm], [],
        [
            ConfirmationView(
                "best", seed, 0, {}, valid={"y": run["valid"]} if "valid" in run else {},
                test={"y": run["test"]}, thresholds=thresholds,
            )
            for seed, run in enumerate(runs)
        ],
        {split: {"y": labels} for split, labels in truth.items()},
        {"test": groups}, ids or {}, {}, {}, [],
        Comparison(metric, "y", kind != "regression", (), "best", None, ()),
    )  # fmt: skip


def world(kind: Kind, rows: int, sharpened: float, seed: int = 0, runs: int = 2) -> StudyView:
    """Labels are drawn from probabilities, whose logits the runs then multiply."""
    rng = np.random.default_rng(seed)
    width = 1 if kind == "binary" else len(NAMES)
    truth, given = {}, {}
    for split in ("valid", "test"):
        logits = 1.5 * rng.normal(size=(rows, width))
        true, given[split] = _probabilities(kind, logits), _probabilities(kind, sharpened * logits)
        if kind == "multiclass":
            truth[split] = np.array([rng.choice(width, p=row) for row in true])
        else:
            truth[split] = (rng.random(true.shape) < true).astype(float)
            truth[split] = truth[split][:, 0] if kind == "binary" else truth[split]
    classes = NAMES[:2] if kind == "binary" else NAMES
    return study(kind, truth, [given] * runs, classes)


def _probabilities(kind: Kind, logits: np.ndarray) -> np.ndarray:
    if kind == "multiclass":
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(-logits))


KINDS: tuple[Kind, ...] = ("binary", "multiclass", "multilabel")


# ------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("kind", KINDS)
def test_exact_probabilities_have_no_error_but_that_of_chance(kind: Kind) -> None:
    (found,) = reliability(world(kind, 2000, 1.0))
    assert found.raw.error.value < 0.04
    assert found.raw.error.low == 0.0 < found.raw.error.value <= found.raw.error.high
    assert found.raw.error.value == pytest.approx(found.raw.chance, abs=0.015)
    assert found.temperature == pytest.approx(1, abs=0.1)
    assert found.raw.judgement == "close"
    assert all(one.right.low <= one.said + 0.04 for one in found.raw.bins)
    assert sum(one.share for one in found.raw.bins) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sharpened", "said"), [(3.0, "over"), (1 / 3, "under")])
def test_scaled_logits_are_found_and_undone(kind: Kind, sharpened: float, said: str) -> None:
    (found,) = reliability(world(kind, 2000, sharpened))
    assert found.temperature == pytest.approx(sharpened, rel=0.1)
    assert found.raw.judgement == said
    assert found.raw.error.low > 0.05 > 0.04 > found.scaled.error.value
    assert found.gained.low > 0
    assert found.gained.value == pytest.approx(
        found.raw.log_loss.value - found.scaled.log_loss.value
    )


def test_few_rows_allow_no_claim() -> None:
    said = [reliability(world("multiclass", 60, 1.0, seed))[0].raw for seed in range(10)]
    assert [one.judgement for one in said].count("unknown") >= 9
    assert all(len(one.bins) <= 3 for one in said)


def test_right_on_average_is_not_right_each_time() -> None:
    rng = np.random.default_rng(0)
    given = np.repeat([0.6, 0.9], 1000)[:, None]
    came = rng.random(2000) < np.repeat([0.9, 0.6], 1000)
    truth = {"test": came.astype(float)}
    (found,) = reliability(study("binary", truth, [{"test": given}], NAMES[:2]))
    assert found.raw.judgement == "uneven"
    assert [one.said for one in found.raw.bins] == pytest.approx([0.6, 0.9])
    assert [one.right.value for one in found.raw.bins] == pytest.approx([0.9, 0.6], abs=0.03)
    assert found.raw.error.value == pytest.approx(0.3, abs=0.03)
    assert found.scaled is None  # nothing to fit it on
    assert found.temperature is None


def test_scores_are_those_of_scikit_learn() -> None:
    view = world("multiclass", 300, 2.0)
    truth, given = view.truth["test"]["y"], view.confirmations[0].test["y"]
    (found,) = reliability(view)
    assert found.raw.log_loss.value == pytest.approx(metrics.log_loss(truth, given))
    assert found.raw.brier.value == pytest.approx(
        metrics.brier_score_loss(truth, given, labels=range(4))
    )
    assert found.raw.accuracy == metrics.accuracy_score(truth, given.argmax(axis=1))

    view = world("binary", 300, 2.0)
    truth, given = view.truth["test"]["y"], view.confirmations[0].test["y"][:, 0]
    (found,) = reliability(view)
    assert found.raw.log_loss.value == pytest.approx(metrics.log_loss(truth, given))
    assert found.raw.brier.value == pytest.approx(metrics.brier_score_loss(truth, given))

    view = world("multilabel", 300, 2.0)
    truth, given = view.truth["test"]["y"], view.confirmations[0].test["y"]
    (found,) = reliability(view)
    each = [metrics.log_loss(truth[:, c], given[:, c]) for c in range(4)]
    assert found.raw.log_loss.value == pytest.approx(np.mean(each))
    each = [metrics.brier_score_loss(truth[:, c], given[:, c]) for c in range(4)]
    assert found.raw.brier.value == pytest.approx(np.mean(each))


def test_the_temperature_never_sees_a_test_label() -> None:
    view = world("multiclass", 500, 2.0)
    (before,) = reliability(view)
    view.truth["test"]["y"][:] = 0
    (after,) = reliability(view)
    assert after.temperature == before.temperature
    assert after.raw.error != before.raw.error


def test_pooled_folds_are_never_scaled_and_bent_ones_not_judged() -> None:
    ids = {split: np.arange(500) for split in ("valid", "test")}
    for kind in KINDS:
        view = world(kind, 500, 2.0)
        runs = [{s: getattr(run, s)["y"] for s in ids} for run in view.confirmations]
        truth = {split: view.truth[split]["y"] for split in ids}
        classes = view.task.targets["y"].classes
        found = reliability(study(kind, truth, runs, classes, ids=ids))
        assert [one.scaled for one in found] == ([None] if kind == "multiclass" else [])


def test_scaling_keeps_the_order_and_a_temperature_of_one_changes_nothing() -> None:
    given = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    assert np.allclose(tempered("multiclass", given, 1.0), given)
    assert (tempered("multiclass", given, 5.0).argmax(1) == given.argmax(1)).all()
    assert np.allclose(tempered("multilabel", given, 1.0), given)
    certain = np.eye(4)
    assert np.isfinite(tempered("multilabel", certain, 2.0)).all()
    assert fit_temperature("multiclass", np.arange(4), certain) < 1


def test_intervals_count_groups_as_one() -> None:
    view = world("multiclass", 400, 1.0)
    truth, run = view.truth["test"]["y"], view.confirmations[0].test["y"]
    truth, runs = {"test": np.repeat(truth[:100], 4)}, [{"test": np.repeat(run[:100], 4, axis=0)}]
    alone = reliability(study("multiclass", truth, runs))[0].raw.brier
    groups = np.repeat(np.arange(100), 4)
    together = reliability(study("multiclass", truth, runs, groups=groups))[0].raw.brier
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


# -------------------------------------------------------------------------------- abstention


def test_an_oracle_of_its_errors_answers_them_last() -> None:
    truth = np.zeros(200, dtype=int)
    wrong = np.arange(200) < 40
    sure = np.where(wrong, 0.55, 0.95) + np.linspace(0, 0.01, 200)
    given = np.where(wrong, 1 - sure, sure)[:, None] * [1, -1] + [0, 1]  # (N, 2)
    (found,) = abstention(study("multiclass", {"test": truth}, [{"test": given}], ("a", "b")))
    share = np.asarray(found.answered)
    assert found.errors == pytest.approx(np.maximum(0, share - 0.8) / share)
    assert found.area.value == pytest.approx(np.mean(found.errors))
    assert found.at[1.0].value == pytest.approx(0.2)
    assert found.at[0.8].value == 0.0
    assert found.at[1.0].low < 0.2 < found.at[1.0].high


def test_equal_certainty_gains_nothing() -> None:
    truth = np.arange(100) % 4
    given = np.tile([0.7, 0.1, 0.1, 0.1], (100, 1))
    (found,) = abstention(study("multiclass", {"test": truth}, [{"test": given}]))
    assert set(found.errors) == {0.75}
    assert found.area.value == found.at[0.5].value == 0.75


def test_each_resample_is_the_curve_of_its_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    sure, wrong = rng.integers(0, 12, 40) / 12, (rng.random(40) < 0.4).astype(float)
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=20)
    found = risks(sure, wrong, weights, (1.0, 0.5))
    for line, counts in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(40), counts)
        falling = sorted(sure[rows], reverse=True)
        expected = [wrong[rows][sure[rows] >= limit].mean() for limit in falling]
        assert line == pytest.approx([np.mean(expected), expected[-1], expected[19]])


def test_decisions_fall_at_the_chosen_threshold() -> None:
    truth = {"test": np.ones(50)}
    runs = [{"test": np.full((50, 1), 0.3)}]
    (found,) = abstention(study("binary", truth, runs, ("no", "yes"), cut=0.2))
    assert found.at[1.0].value == 0.0
    (found,) = abstention(study("binary", truth, runs, ("no", "yes")))
    assert found.at[1.0].value == 1.0


# ---------------------------------------------------------------------------------- rankings


def test_areas_are_those_of_scikit_learn_and_curves_enclose_them() -> None:
    view = world("multiclass", 600, 1.0)
    truth, given = view.truth["test"]["y"], view.confirmations[0].test["y"]
    found = rankings(view)
    assert [one.name for one in found] == list(NAMES)
    for place, one in enumerate(found):
        real = truth == place
        assert one.share == real.mean()
        assert one.auroc == pytest.approx(metrics.roc_auc_score(real, given[:, place]))
        average = metrics.average_precision_score(real, given[:, place])
        assert one.average_precision == pytest.approx(average)
        assert np.trapezoid(one.hits, GRID) == pytest.approx(one.auroc, abs=0.01)
        assert one.precisions.mean() == pytest.approx(average, abs=0.01)
        assert (np.diff(one.hits) >= 0).all()


def test_curves_are_averaged_over_runs_at_each_rate() -> None:
    truth = {"test": np.array([0.0, 1.0] * 50)}
    right, useless = truth["test"][:, None] * 0.8 + 0.1, np.full((100, 1), 0.5)
    (found,) = rankings(study("binary", truth, [{"test": right}, {"test": useless}], ("n", "y")))
    assert found.name == "y"
    assert found.auroc == pytest.approx(0.75)
    assert found.average_precision == pytest.approx(0.75)
    assert found.hits[1:] == pytest.approx((1 + GRID[1:]) / 2)
    assert found.precisions == pytest.approx(np.full(100, 0.75))


def test_many_classes_are_one_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    view = world("multilabel", 300, 1.0)
    each = rankings(view)
    monkeypatch.setattr(rankings_module, "MOST_CLASSES", 3)
    (mean,) = rankings(view)
    assert mean.name == "mean of classes"
    assert mean.auroc == pytest.approx(np.mean([one.auroc for one in each]))
    assert np.allclose(mean.hits, np.mean([one.hits for one in each], axis=0))


def test_a_class_that_all_or_no_rows_have_has_no_curve() -> None:
    view = world("multiclass", 100, 1.0)
    view.truth["test"]["y"][:] = np.arange(100) % 2
    assert [one.name for one in rankings(view)] == ["a", "b"]
    view.truth["test"]["y"][:] = 1
    assert rankings(view) == []


# ------------------------------------------------------------------------------------- rates


@pytest.mark.parametrize("kind", KINDS)
def test_rates_are_those_of_scikit_learn(kind: Kind) -> None:
    view = world(kind, 400, 1.0)
    truth, given = view.truth["test"]["y"], view.confirmations[0].test["y"]
    guess = given.argmax(axis=1) if kind == "multiclass" else given > 0.5
    guess = guess[:, 0] if kind == "binary" else guess
    wanted = metrics.precision_recall_fscore_support(truth, guess)
    for place, one in enumerate(class_rates(view)):
        figures = (one.precision, one.recall, one.f1)
        assert [f.value for f in figures] == pytest.approx([part[place] for part in wanted[:3]])
        assert all(f.low < f.value < f.high for f in figures)
        assert one.rows == wanted[3][place]
        if kind == "multilabel":
            area = metrics.roc_auc_score(truth[:, place], given[:, place])
            assert one.auroc.value == pytest.approx(area)
            assert one.auroc.low < area < one.auroc.high
        else:
            assert one.auroc is None


def test_a_class_without_rows_has_no_recall() -> None:
    view = world("multiclass", 200, 1.0)
    view.truth["test"]["y"][:] = np.arange(200) % 3
    last = class_rates(view)[-1]
    assert last.rows == 0
    assert last.precision.value == 0.0
    assert np.isnan([last.recall.value, last.recall.low, last.f1.value]).all()


# ------------------------------------------------------------------------------- edges of data


def test_rows_without_a_label_count_nowhere() -> None:
    view = world("multiclass", 300, 1.0)
    truth = {split: view.truth[split]["y"].copy() for split in ("valid", "test")}
    runs = [{s: getattr(run, s)["y"].copy() for s in truth} for run in view.confirmations]
    for split in truth:
        truth[split][:50] = -1
        for run in runs:
            run[split][:50] = [1, 0, 0, 0]
    partly = study("multiclass", truth, runs)
    kept = study(
        "multiclass",
        {split: labels[50:] for split, labels in truth.items()},
        [{split: given[50:] for split, given in run.items()} for run in runs],
    )
    for answer in (reliability, abstention, class_rates):
        assert answer(partly) == answer(kept)
    assert [one.auroc for one in rankings(partly)] == [one.auroc for one in rankings(kept)]


def test_without_a_label_or_a_run_there_is_no_answer() -> None:
    unlabelled = world("binary", 50, 1.0)
    unlabelled.truth["test"]["y"][:] = np.nan
    failed = world("binary", 50, 1.0)
    failed.confirmations[:] = [  # type: ignore[index]
        ConfirmationView("best", 0, 0, {}, failure=Failure("oom", "x"))
    ]
    number = study("regression", {"test": np.arange(9.0)}, [{"test": np.ones((9, 1))}], ())
    for answer in (reliability, abstention, rankings, class_rates):
        assert answer(unlabelled) == answer(failed) == answer(number) == []
