"""Metrics agree with scikit-learn, leave unobserved rows out, and say NaN where undefined."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk

from mmauto.engine.metrics import METRICS, default_metric, resolve_metric, score, score_all
from mmauto.errors import ConfigError
from mmauto.values import Kind, TargetSpec

ROWS = 60
BINARY = TargetSpec("sick", "binary", ("no", "yes"))
MULTICLASS = TargetSpec("organ", "multiclass", ("heart", "lung", "liver", "bone"))
MULTILABEL = TargetSpec("findings", "multilabel", ("nodule", "effusion", "fracture"))
REGRESSION = TargetSpec("days", "regression")
SPECS: dict[Kind, TargetSpec] = {
    "binary": BINARY,
    "multiclass": MULTICLASS,
    "multilabel": MULTILABEL,
    "regression": REGRESSION,
}


def draw(spec: TargetSpec, seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Random truth, as stored, and predictions that are somewhat right."""
    truth: np.ndarray
    rng = np.random.default_rng(seed)
    if spec.kind == "regression":
        truth = rng.normal(3.0, 2.0, rows)
        return truth, (truth + rng.normal(size=rows))[:, None]
    if spec.kind == "multiclass":
        truth = rng.integers(0, spec.width, rows)
        raw = np.exp(np.eye(spec.width)[truth] + rng.normal(size=(rows, spec.width)))
        return truth, raw / raw.sum(axis=1, keepdims=True)
    if spec.kind == "binary":
        truth = (rng.random(rows) < 0.3).astype(float)
        return truth, 1 / (1 + np.exp(-(2 * truth - 1 + rng.normal(size=rows))))[:, None]
    truth = (rng.random((rows, spec.width)) < 0.4).astype(float)
    return truth, 1 / (1 + np.exp(-(2 * truth - 1 + rng.normal(size=truth.shape))))


# ------------------------------------------------------------------------------ scikit-learn says


def macro(measure: Callable[..., float]) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda truth, guess: measure(truth, guess, average="macro", zero_division=0.0)


DECIDED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": macro(sk.precision_score),
    "recall": macro(sk.recall_score),
    "f1": macro(sk.f1_score),
}
NUMBERS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
}


def peer(metric: str, spec: TargetSpec, truth: np.ndarray, given: np.ndarray) -> float:
    """The same metric by scikit-learn's own averaging."""
    if metric in NUMBERS:
        return float(NUMBERS[metric](truth, given[:, 0]))
    if metric == "auroc":
        shown = given[:, 0] if spec.kind == "binary" else given
        return float(sk.roc_auc_score(truth, shown, multi_class="ovr", average="macro"))
    if metric == "average_precision":
        shown = given[:, 0] if spec.kind == "binary" else given
        return float(sk.average_precision_score(truth, shown, average="macro"))
    guess = given.argmax(axis=1) if spec.kind == "multiclass" else (given > 0.5).astype(int)
    if metric == "accuracy" and spec.kind == "multilabel":
        return 1 - float(sk.hamming_loss(truth, guess))
    guess = guess[:, 0] if spec.kind == "binary" else guess
    return float({"accuracy": sk.accuracy_score, **DECIDED}[metric](truth, guess))


FITTING = [(name, kind) for name, metric in METRICS.items() for kind in metric.kinds]


@pytest.mark.parametrize(("metric", "kind"), FITTING)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_metric_is_what_scikit_learn_says(metric: str, kind: Kind, seed: int) -> None:
    spec = SPECS[kind]
    truth, given = draw(spec, seed)

    assert score(metric, spec, truth, given) == pytest.approx(peer(metric, spec, truth, given))


@pytest.mark.parametrize("kind", list(SPECS))
def test_score_all_holds_every_fitting_metric_and_no_other(kind: Kind) -> None:
    spec = SPECS[kind]
    truth, given = draw(spec, 0)

    found = score_all(spec, truth, given)

    assert set(found) == {name for name, fits in FITTING if fits == kind}
    assert all(found[name] == score(name, spec, truth, given) for name in found)


# ---------------------------------------------------------------------------------- unobserved


def hide(spec: TargetSpec, truth: np.ndarray, rows: slice) -> np.ndarray:
    hidden = truth.copy()
    hidden[rows] = -1 if spec.kind == "multiclass" else np.nan
    return hidden


@pytest.mark.parametrize(("metric", "kind"), FITTING)
def test_unobserved_rows_are_left_out(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, given = draw(spec, 3)
    hidden = hide(spec, truth, slice(0, 20))

    assert score(metric, spec, hidden, given) == score(metric, spec, truth[20:], given[20:])


def test_a_multilabel_row_with_one_label_unknown_is_left_out() -> None:
    truth, given = draw(MULTILABEL, 4)
    hidden = truth.copy()
    hidden[0, 1] = np.nan

    assert score("f1", MULTILABEL, hidden, given) == score("f1", MULTILABEL, truth[1:], given[1:])


@pytest.mark.parametrize(("metric", "kind"), FITTING)
def test_without_an_observed_row_every_metric_is_nan(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, given = draw(spec, 5)

    assert math.isnan(score(metric, spec, hide(spec, truth, slice(None)), given))
    assert math.isnan(score(metric, spec, truth[:0], given[:0]))


# ----------------------------------------------------------------- undefined, and missing classes


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
@pytest.mark.parametrize("spec", [BINARY, MULTICLASS, MULTILABEL], ids=lambda spec: spec.kind)
def test_ranking_is_undefined_where_one_class_is_all_there_is(
    metric: str, spec: TargetSpec
) -> None:
    truth, given = draw(spec, 6)

    assert math.isnan(score(metric, spec, np.zeros_like(truth), given))


def test_r2_is_undefined_where_the_truth_does_not_vary() -> None:
    assert math.isnan(score("r2", REGRESSION, np.full(5, 2.0), np.ones((5, 1))))
    assert math.isnan(score("r2", REGRESSION, np.array([2.0]), np.ones((1, 1))))


def test_ranking_averages_over_the_classes_that_are_there() -> None:
    truth, given = draw(MULTICLASS, 7)
    keep = truth < 2
    truth, given = truth[keep], given[keep]

    by_class = [sk.roc_auc_score(truth == place, given[:, place]) for place in (0, 1)]

    assert score("auroc", MULTICLASS, truth, given) == pytest.approx(np.mean(by_class))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("metric", ["accuracy", *DECIDED])
def test_classes_that_the_truth_lacks_count_as_scikit_learn_counts_them(metric: str) -> None:
    truth, given = draw(MULTICLASS, 8)
    keep = truth < 2
    assert set(given[keep].argmax(axis=1)) > {0, 1}

    found = score(metric, MULTICLASS, truth[keep], given[keep])

    assert found == pytest.approx(peer(metric, MULTICLASS, truth[keep], given[keep]))


def test_recall_of_a_lacking_class_weighs_on_recall_but_not_on_balanced_accuracy() -> None:
    truth, given = np.array([0, 0]), np.eye(4)[[0, 2]]

    assert score("balanced_accuracy", MULTICLASS, truth, given) == 0.5
    assert score("recall", MULTICLASS, truth, given) == 0.25


# ----------------------------------------------------------------------------------- by name


def test_errors_are_minimised_and_everything_else_is_maximised() -> None:
    assert {name for name, metric in METRICS.items() if not metric.maximise} == {"mae", "rmse"}


@pytest.mark.parametrize("kind", list(SPECS))
def test_the_usual_metric_of_a_kind_fits_it(kind: Kind) -> None:
    name = default_metric(kind)

    assert resolve_metric(name, kind).name == name


def test_a_misspelt_metric_names_the_nearest_that_fits_and_where_it_came_from() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_metric("balanced_acuracy", "multiclass")

    assert str(caught.value) == (
        "unknown metric 'balanced_acuracy' (from --metric); did you mean 'balanced_accuracy'?; "
        "available: accuracy, auroc, average_precision, balanced_accuracy, f1, precision, recall"
    )


def test_a_metric_of_another_kind_is_refused_with_those_that_fit() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_metric("auroc", "regression")

    assert str(caught.value) == (
        "a metric must fit the primary target, 'auroc' does not fit a regression one; "
        "use one of mae, rmse, r2"
    )
