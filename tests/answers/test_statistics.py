"""Intervals count rows and seeds; checked by brute force, by simulation and by known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from mmauto.answers.statistics import (
    LEVEL,
    Resampled,
    Scored,
    bootstrap_interval,
    interval,
    paired_difference,
    possible,
)
from mmauto.engine.metrics import METRICS, score
from mmauto.values import Kind, TargetSpec
from mmauto.views import Interval

SPECS: dict[Kind, TargetSpec] = {
    "binary": TargetSpec("sick", "binary", ("no", "yes")),
    "multiclass": TargetSpec("organ", "multiclass", ("heart", "lung", "liver")),
    "multilabel": TargetSpec("findings", "multilabel", ("nodule", "effusion")),
    "regression": TargetSpec("days", "regression"),
}
BINARY, MULTICLASS, REGRESSION = SPECS["binary"], SPECS["multiclass"], SPECS["regression"]
FITTING = [(name, kind) for name, metric in METRICS.items() for kind in metric.kinds]
SOME = [(name, kind) for name, kind in FITTING if name in ("accuracy", "f1", "auroc", "rmse", "r2")]
"""One of each way to compute; every metric is tested where its value is."""


def draw(
    spec: TargetSpec, seed: int = 0, rows: int = 50, runs: int = 3
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Random truth and the predictions of several runs, each of its own quality."""
    truth: np.ndarray
    rng = np.random.default_rng(seed)
    if spec.kind == "regression":
        truth = rng.normal(3.0, 2.0, rows)
        return truth, [(truth + rng.normal(0, 1 + i, rows))[:, None] for i in range(runs)]
    if spec.kind == "multiclass":
        truth = rng.choice(3, rows, p=(0.6, 0.3, 0.1))
        noise = rng.normal(size=(runs, rows, 3))
        raw = np.exp([(1 + i) * np.eye(3)[truth] + one for i, one in enumerate(noise)])
        return truth, list(raw / raw.sum(axis=-1, keepdims=True))
    shape = (rows, spec.width) if spec.kind == "multilabel" else (rows,)
    truth = (rng.random(shape) < 0.4).astype(float)
    logits = [(1 + i) * (truth - 0.5) + rng.normal(size=shape) for i in range(runs)]
    return truth, [1 / (1 + np.exp(-one.reshape(rows, spec.width))) for one in logits]


def width(found: Interval) -> float:
    return found.high - found.low


# ------------------------------------------------------------------------------- brute force


@pytest.mark.parametrize(("metric", "kind"), FITTING)
def test_the_value_is_the_mean_of_the_plain_metric_over_seeds(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, runs = draw(spec)

    found = bootstrap_interval(metric, spec, truth, runs)

    assert found.value == pytest.approx(np.mean([score(metric, spec, truth, r) for r in runs]))
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
@pytest.mark.parametrize(("metric", "kind"), FITTING)
def test_resamples_are_the_metric_of_the_repeated_rows(
    metric: str, kind: Kind, tied: bool, grouped: bool
) -> None:
    spec = SPECS[kind]
    truth, runs = draw(spec, runs=1)
    run = runs[0].round(1) if tied else runs[0]
    groups = np.array([f"patient {row // 3}" for row in range(len(truth))]) if grouped else None
    shared = Resampled(metric, spec, truth, groups)

    found = shared.score(run)

    assert found.value == score(metric, spec, truth, run)
    for index in range(0, len(found.resamples), len(found.resamples) // 10):
        rows = np.repeat(np.arange(len(truth)), shared.rows[index].astype(int))
        plain = score(metric, spec, truth[rows], run[rows])
        assert found.resamples[index] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_where_runs_alone_differ_an_interval_is_that_of_student(seeds: int) -> None:
    """Every row is the same, so that only the seeds matter: Student's t interval of their mean."""
    values = np.random.default_rng(seeds).normal(0.7, 0.05, seeds)
    shared = Resampled("accuracy", MULTICLASS, np.zeros(50, dtype=int), None)
    scored = [Scored(value, np.full(len(shared.rows), value)) for value in values]

    found = shared.mean(scored)

    error = scipy.stats.sem(values) * scipy.stats.t.ppf(0.975, seeds - 1)
    assert found.value == pytest.approx(values.mean())
    # resampled seeds are no normal distribution, and few draws of few seeds are lumpy
    assert found.high - found.low == pytest.approx(2 * error, rel=0.12)


@pytest.mark.slow
def test_where_runs_differ_by_the_luck_of_rows_alone_the_seeds_add_little() -> None:
    source = np.random.default_rng(0)
    truth = np.zeros(4000, dtype=int)
    shared = Resampled("accuracy", MULTICLASS, truth, None)
    widths = []
    for _ in range(20):
        right = source.random((5, 4000)) < 0.7  # all runs equally good, each by its own luck
        runs = [np.eye(3)[np.where(hits, 0, 1)] for hits in right]
        found = shared.mean([shared.score(run) for run in runs])
        widths.append(found.high - found.low)
    rows_alone = 2 * 1.96 * np.sqrt(0.7 * 0.3 / (5 * 4000))
    # widening all of the spread between seeds would give 1.7 times the width
    assert 0.95 * rows_alone < np.median(widths) < 1.45 * rows_alone


def test_a_class_that_a_resample_misses_is_left_out_of_its_balanced_accuracy() -> None:
    truth = np.array([0] * 12 + [1] * 6 + [2])
    shared = Resampled("balanced_accuracy", MULTICLASS, truth, None)
    classes = [(shared.rows[:, truth == place] > 0).any(axis=1) for place in range(3)]
    seen = np.sum(classes, axis=0)

    always_first = shared.score(np.eye(3)[np.zeros(len(truth), dtype=int)]).resamples

    assert (seen < 3).sum() > 100
    assert always_first == pytest.approx(1 / seen)


def test_every_resample_draws_as_many_rows_as_there_are_and_as_many_seeds() -> None:
    truth, runs = draw(MULTICLASS)
    shared = Resampled("accuracy", MULTICLASS, truth, None)
    seeds = shared.draw_seeds(len(runs))

    assert (shared.rows.sum(axis=1) == len(truth)).all()
    assert seeds.shape == (len(shared.rows), len(runs))
    assert set(seeds.ravel()) == {0, 1, 2}
    assert (seeds == shared.draw_seeds(len(runs))).all()  # or differences were not paired


def test_rows_of_a_group_are_drawn_together() -> None:
    truth, _ = draw(MULTICLASS)
    groups = np.array([f"patient {row % 10}" for row in range(len(truth))])
    shared = Resampled("accuracy", MULTICLASS, truth, groups)

    for group in np.unique(groups):
        drawn = shared.rows[:, groups == group]
        assert (drawn == drawn[:, :1]).all()


# ------------------------------------------------------------------------------- simulation


def simulate(rng: np.random.Generator, rows: int = 80, seeds: int = 5) -> list[np.ndarray]:
    """Runs that are right on 70 % of rows on average; rows and seeds differ in how often."""
    hardness, skill = rng.normal(0, 0.8, rows), rng.normal(0, 0.25, seeds)
    luck = rng.normal(size=(seeds, rows))
    spread = math.sqrt(0.8**2 + 0.25**2 + 1)
    right = hardness + skill[:, None] + luck < 0.5244 * spread  # the normal's 70 % point
    return [np.where(one, 0.9, 0.1)[:, None] for one in right]


@pytest.mark.slow
def test_intervals_cover_the_expected_accuracy_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = np.ones(80)

    found = [bootstrap_interval("accuracy", BINARY, truth, simulate(rng)) for _ in range(150)]

    covered = np.mean([one.low <= 0.7 <= one.high for one in found])
    assert 0.88 <= covered <= 0.995, covered
    assert LEVEL == 0.95


def test_runs_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    truth = np.ones(200)
    alike = [np.where(rng.random(200) < 0.7, 0.9, 0.1)[:, None] for _ in range(4)]
    apart = [np.where(rng.random(200) < share, 0.9, 0.1)[:, None] for share in (0.5, 0.6, 0.8, 0.9)]

    one = bootstrap_interval("accuracy", BINARY, truth, alike)
    two = bootstrap_interval("accuracy", BINARY, truth, apart)

    assert width(two) > 1.5 * width(one)


def test_copies_of_a_row_carry_no_information_when_they_are_one_group() -> None:
    truth, runs = draw(MULTICLASS, rows=40, runs=1)
    copied, copies = np.repeat(truth, 4), [np.repeat(run, 4, axis=0) for run in runs]
    groups = np.repeat(np.arange(40).astype(str), 4)

    plain = bootstrap_interval("accuracy", MULTICLASS, truth, runs)
    by_row = bootstrap_interval("accuracy", MULTICLASS, copied, copies)
    by_group = bootstrap_interval("accuracy", MULTICLASS, copied, copies, groups)

    assert width(by_row) == pytest.approx(width(plain) / 2, rel=0.15)
    assert width(by_group) == pytest.approx(width(plain), rel=0.15)


def test_the_same_input_gives_the_same_interval_and_another_seed_another() -> None:
    truth, runs = draw(REGRESSION)

    one = bootstrap_interval("mae", REGRESSION, truth, runs)

    assert bootstrap_interval("mae", REGRESSION, truth, runs) == one
    assert bootstrap_interval("mae", REGRESSION, truth, runs, seed=1) != one


# ------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(("metric", "kind"), SOME)
def test_identical_predictions_differ_by_exactly_nothing(metric: str, kind: Kind) -> None:
    truth, runs = draw(SPECS[kind])

    found = paired_difference(metric, SPECS[kind], truth, runs, [run.copy() for run in runs])

    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("metric", "kind"), SOME)
def test_better_is_positive_whatever_the_metric(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, runs = draw(spec, runs=1, rows=80)
    if kind == "multiclass":
        ideal = np.eye(spec.width)[truth]
    else:
        ideal = truth.reshape(len(truth), spec.width)

    found = paired_difference(metric, spec, truth, [ideal], runs)
    turned = paired_difference(metric, spec, truth, runs, [ideal])

    assert 0 < found.low < found.value < found.high
    assert turned.value == -found.value
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_the_difference_of_rmse_is_how_much_lower_the_error_is() -> None:
    truth = np.arange(10.0)
    ours, theirs = [truth[:, None] + 1.0], [truth[:, None] + 3.0]

    found = paired_difference("rmse", REGRESSION, truth, ours, theirs)

    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_pairing_cancels_what_both_sides_share() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=60)
    shared = 3 * rng.normal(size=60)
    ours, theirs = [(truth + shared)[:, None]], [(truth + 1.1 * shared)[:, None]]

    found = paired_difference("mae", REGRESSION, truth, ours, theirs)
    alone = bootstrap_interval("mae", REGRESSION, truth, ours)

    assert found.low > 0
    assert width(found) < 0.2 * width(alone)


def test_runs_beyond_the_shorter_side_are_left_out() -> None:
    truth, runs = draw(MULTICLASS, runs=4)

    found = paired_difference("accuracy", MULTICLASS, truth, runs[2:], runs)

    assert found == paired_difference("accuracy", MULTICLASS, truth, runs[2:], runs[:2])


# ------------------------------------------------------------------------------- the edges


@pytest.mark.parametrize(("metric", "kind"), SOME)
def test_a_single_run_has_an_interval_over_rows(metric: str, kind: Kind) -> None:
    truth, runs = draw(SPECS[kind], runs=1)

    found = bootstrap_interval(metric, SPECS[kind], truth, runs)

    assert found.low < found.value < found.high


@pytest.mark.parametrize(("metric", "kind"), SOME)
def test_unobserved_rows_and_their_groups_are_left_out(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, runs = draw(spec)
    groups = np.array([f"patient {row // 2}" for row in range(len(truth))])
    hidden = truth.copy()
    hidden[:8] = -1 if kind == "multiclass" else np.nan

    found = bootstrap_interval(metric, spec, hidden, runs, groups)

    rest = [run[8:] for run in runs]
    assert found == bootstrap_interval(metric, spec, truth[8:], rest, groups[8:])


def test_an_undefined_metric_has_an_undefined_interval() -> None:
    truth, runs = np.zeros(20), [np.linspace(0, 1, 20)[:, None]] * 2

    alone = bootstrap_interval("auroc", BINARY, truth, runs)
    paired = paired_difference("auroc", BINARY, truth, runs, runs)

    for found in (alone, paired):
        assert np.isnan([found.value, found.low, found.high]).all()


@pytest.mark.parametrize(("metric", "kind"), FITTING)
def test_without_an_observed_row_the_interval_is_undefined(metric: str, kind: Kind) -> None:
    spec = SPECS[kind]
    truth, runs = draw(spec)
    hidden = np.full_like(truth, -1 if kind == "multiclass" else np.nan)

    for groups in (None, np.array([str(row) for row in range(len(truth))])):
        found = bootstrap_interval(metric, spec, hidden, runs, groups)
        assert np.isnan([found.value, found.low, found.high]).all()


def test_resamples_in_which_the_metric_is_undefined_are_left_out() -> None:
    found = interval(0.5, np.array([np.nan, 0.4, 0.6, np.nan]))

    assert found.value == 0.5
    assert 0.4 <= found.low < found.high <= 0.6


def test_one_positive_row_still_has_an_auroc_and_an_interval() -> None:
    truth = np.array([1.0] + [0.0] * 19)
    runs = [np.linspace(0.9, 0.1, 20)[:, None]]

    found = bootstrap_interval("auroc", BINARY, truth, runs)

    assert found.value == 1.0
    assert math.isfinite(found.low)


def test_an_interval_ends_where_the_metric_does() -> None:
    spec = TargetSpec("y", "multiclass", ("a", "b"))
    truth = np.tile([0, 1], 30)
    runs = []
    for wrong in (0, 0, 14):  # three seeds, one of them unlucky: their spread reaches beyond 1
        given = truth.copy()
        given[:wrong] = 1 - given[:wrong]
        runs.append(np.eye(2)[given])
    shared = Resampled("accuracy", spec, truth, None)
    found = shared.mean([shared.score(run) for run in runs])
    assert found.high == 1.0
    assert found.low < found.value


@pytest.mark.parametrize(
    ("metric", "ends"), [("auroc", (0.0, 1.0)), ("r2", (-0.5, 1.0)), ("mae", (0.0, 1.5))]
)
def test_intervals_end_where_their_metric_does(metric: str, ends: tuple[float, float]) -> None:
    found = possible(Interval(0.5, -0.5, 1.5), METRICS[metric])
    assert (found.low, found.high) == ends
