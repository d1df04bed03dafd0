"""Chosen on validation, estimated on test: known answers and brute force over a small study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.compare import compare, leaderboard_rows
from mmauto.answers.statistics import bootstrap_interval, paired_difference
from mmauto.engine.metrics import score, score_all
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec, TaskView
from mmauto.views import (
    ArmKind,
    ArmView,
    Comparison,
    ConfirmationView,
    Costs,
    Failure,
    StudyView,
    TrialState,
    TrialView,
)

ROWS = 40
SEX = TargetSpec("sex", "binary", ("f", "m"))
AGE = TargetSpec("age", "regression")
TRUTH = {
    "sex": np.arange(ROWS) % 2.0,
    "age": np.linspace(20, 80, ROWS),
}


def task(spec: TargetSpec = SEX, metric: str = "accuracy") -> TaskView:
    return TaskView(
        "people", {"image": "image", "text": "text"}, {spec.name: spec}, spec.name, metric
    )


def arm(name: str, kind: ArmKind = "fusion") -> ArmView:
    return ArmView(name, kind, name, "early", f"summary of {name}")


MIX, IMAGE, TEXT = arm("mix"), arm("image", "single"), arm("text", "single")


def run(
    name: str, value: float | None, *, wrong: int = 0, seed: int = 0, costs: Costs | None = None
) -> ConfirmationView:
    """A confirmation that errs on the first ``wrong`` test rows: by class, and by a year."""
    errs = np.arange(ROWS) < wrong
    test = {
        "sex": np.where(errs, 1 - TRUTH["sex"], TRUTH["sex"])[:, None],
        "age": (TRUTH["age"] + errs)[:, None],
    }
    return ConfirmationView(name, seed, 0, {}, value, test=test, costs=costs or Costs())


def failed(name: str, seed: int = 0) -> ConfirmationView:
    return ConfirmationView(name, seed, 0, {}, failure=Failure("nan", "the loss is not finite"))


def small(
    arms: Sequence[ArmView],
    confirmations: Sequence[ConfirmationView],
    *,
    of: TaskView | None = None,
    trials: Sequence[TrialView] = (),
    truth: Mapping[str, np.ndarray] = TRUTH,
) -> Comparison:
    return compare(
        of or task(), arms, trials, confirmations, {"test": truth}, {"test": None}, ceiling={}
    )


def of_study(study: StudyView) -> Comparison:
    return compare(
        study.task, study.arms, study.trials, study.confirmations, study.truth, study.groups,
        ceiling=study.ceiling,
    )  # fmt: skip


@pytest.fixture(scope="module")
def study() -> StudyView:
    """The fake study with its primary target alone, so that a comparison takes a moment."""
    found = fake_study(0)
    return replace(found, task=replace(found.task, targets={"diagnosis": DIAGNOSIS}))


DIAGNOSIS = TargetSpec("diagnosis", "multiclass", ("normal", "nodule", "pneumonia"))


# ------------------------------------------------------------------------ chosen on validation


def test_winner_and_reference_are_chosen_on_validation_though_test_says_otherwise() -> None:
    found = small(
        [MIX, arm("blend"), IMAGE, TEXT],
        [
            run("mix", 0.7, wrong=0),
            run("blend", 0.9, wrong=20),
            run("image", 0.8, wrong=15),
            run("text", 0.6, wrong=1),
        ],
    )

    assert (found.winner, found.reference) == ("blend", "image")
    assert [line.arm.name for line in found.standings] == ["blend", "image", "mix", "text"]
    assert [line.rank for line in found.standings] == [1, 2, 3, 4]
    assert [line.test.value for line in found.standings] == pytest.approx([0.5, 0.625, 1, 0.975])


def test_a_control_may_win() -> None:
    found = small(
        [MIX, IMAGE, arm("boosting", "control")],
        [run("mix", 0.7), run("image", 0.6), run("boosting", 0.8)],
    )

    assert found.winner == "boosting"


def test_validation_is_the_mean_over_seeds_not_the_best_seed() -> None:
    found = small(
        [MIX, IMAGE],
        [run("mix", 0.99), run("mix", 0.11, seed=1), run("image", 0.6), run("image", 0.62, seed=1)],
    )

    assert found.winner == "image"
    assert [line.validation for line in found.standings] == pytest.approx([0.61, 0.55])


def test_a_minimised_metric_ranks_and_signs_the_other_way() -> None:
    found = small(
        [MIX, IMAGE, TEXT],
        [run("mix", 1.0, wrong=10), run("image", 3.0, wrong=40), run("text", 2.0, wrong=40)],
        of=task(AGE, "mae"),
    )

    assert not found.maximise
    assert (found.winner, found.reference) == ("mix", "text")
    assert [line.arm.name for line in found.standings] == ["mix", "text", "image"]
    gain = found.standings[0].difference
    assert gain is not None
    assert gain.value == pytest.approx(0.75)
    assert gain.low > 0


# --------------------------------------------------------------------- what was not confirmed


def test_an_arm_without_confirmation_is_left_out_and_named() -> None:
    found = small([MIX, IMAGE, arm("late")], [run("mix", 0.7), run("image", 0.6)])

    assert {line.arm.name for line in found.standings} == {"mix", "image"}
    assert found.verdict[-1] == "Without a confirmed result, and so not ranked: late."


def test_an_arm_whose_every_confirmation_failed_is_left_out_and_named() -> None:
    found = small([MIX, IMAGE], [failed("mix"), failed("mix", 1), run("image", 0.6)])

    assert found.winner == "image"
    assert found.verdict[-1] == "Without a confirmed result, and so not ranked: mix."


def test_failed_confirmations_are_ignored() -> None:
    good = [run("mix", 0.7, wrong=4), run("mix", 0.8, wrong=8, seed=2), run("image", 0.6)]

    assert small([MIX, IMAGE], [*good, failed("mix", 1)]) == small([MIX, IMAGE], good)
    assert small([MIX, IMAGE], good).standings[0].seeds == 2


def test_nothing_confirmed_is_an_empty_comparison() -> None:
    found = small([MIX, IMAGE], [])

    assert (found.standings, found.winner, found.reference) == ((), None, None)
    assert found.verdict == ("Nothing is confirmed yet, so there is nothing to compare.",)


# ------------------------------------------------------------------------------ differences


def test_only_the_reference_has_no_difference(study: StudyView) -> None:
    found = of_study(study)

    assert found.reference == "text alone"
    without = [line.arm.name for line in found.standings if line.difference is None]
    assert without == ["text alone"]


def test_without_a_single_modality_there_is_nothing_to_differ_from() -> None:
    found = small([MIX, arm("boosting", "control")], [run("mix", 0.7), run("boosting", 0.6)])

    assert found.reference is None
    assert [line.difference for line in found.standings] == [None, None]


def test_runs_are_paired_by_seed_where_one_side_lacks_a_seed() -> None:
    mix = [run("mix", 0.9, wrong=wrong, seed=seed) for seed, wrong in enumerate((1, 2, 3))]
    image = [run("image", 0.6, wrong=wrong, seed=seed) for seed, wrong in ((0, 11), (2, 23))]

    found = small([MIX, IMAGE], [*mix, *image, failed("image", 1)])

    expected = paired_difference(
        "accuracy",
        SEX,
        TRUTH["sex"],
        [mix[0].test["sex"], mix[2].test["sex"]],
        [image[0].test["sex"], image[1].test["sex"]],
    )
    assert found.standings[0].difference == expected
    assert expected.value == pytest.approx(((11 - 1) + (23 - 3)) / 2 / ROWS)


def test_the_verdict_pairs_the_fusion_with_the_best_control(study: StudyView) -> None:
    def given(name: str) -> list[np.ndarray]:
        return [run.test["diagnosis"] for run in study.confirmations if run.arm == name]

    found = of_study(study)

    fusion = next(line.arm.name for line in found.standings if line.arm.kind == "fusion")
    gain = paired_difference(
        "balanced_accuracy", DIAGNOSIS, study.truth["test"]["diagnosis"], given(fusion),
        given("boosting"), study.groups["test"],
    )  # fmt: skip
    assert gain.low > 0
    size = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    assert f"{fusion} beats boosting, the best control, by {size}" in " ".join(found.verdict)


def test_the_order_in_which_runs_were_stored_does_not_matter(study: StudyView) -> None:
    turned = replace(study, confirmations=tuple(reversed(study.confirmations)))

    assert of_study(turned) == of_study(study)


def test_sides_without_a_common_seed_have_no_difference() -> None:
    found = small([MIX, IMAGE], [run("mix", 0.7, seed=0), run("image", 0.6, seed=1)])

    assert found.standings[0].difference is None
    assert not any("usion" in sentence for sentence in found.verdict)


# -------------------------------------------------------------------- estimated on test


def test_every_number_is_that_of_the_stored_predictions(study: StudyView) -> None:
    truth, groups = study.truth["test"]["diagnosis"], study.groups["test"]

    found = of_study(study)

    assert len(found.standings) == len(study.arms)
    for line in found.standings:
        runs = [view for view in study.confirmations if view.arm == line.arm.name]
        given = [view.test["diagnosis"] for view in runs]
        plain = [score("balanced_accuracy", DIAGNOSIS, truth, one) for one in given]
        assert line.test.value == pytest.approx(np.mean(plain))
        assert line.test == bootstrap_interval("balanced_accuracy", DIAGNOSIS, truth, given, groups)
        assert line.validation == pytest.approx(np.mean([view.value for view in runs]))
        every = [score_all(DIAGNOSIS, truth, one) for one in given]
        assert line.metrics["diagnosis"] == pytest.approx(
            {name: np.mean([one[name] for one in every]) for name in every[0]}
        )
        assert line.seeds == len(runs)


def test_rows_of_a_group_are_resampled_together(study: StudyView) -> None:
    apart = replace(study, groups={"test": None})

    assert of_study(study).standings[0].test.value == of_study(apart).standings[0].test.value
    assert of_study(study).standings[0].test != of_study(apart).standings[0].test


def test_every_target_has_its_metrics() -> None:
    both = replace(task(), targets={"sex": SEX, "age": AGE})

    found = small([IMAGE], [run("image", 0.6, wrong=10)], of=both).standings[0].metrics

    assert found["sex"]["accuracy"] == pytest.approx(0.75)
    assert found["age"]["mae"] == pytest.approx(0.25)


def test_the_verdict_counts_only_rows_whose_label_is_known() -> None:
    hidden = {**TRUTH, "sex": np.where(np.arange(ROWS) < 10, np.nan, TRUTH["sex"])}

    found = small([IMAGE], [run("image", 0.6)], truth=hidden)

    assert "on 30 test rows" in found.verdict[0]


# ------------------------------------------------------------------------------ costs, counts


def test_costs_are_the_median_run_and_the_largest_memory() -> None:
    costs = [
        Costs(1.0, 100, 7, 500, 0.5, 4.0),
        Costs(9.0, 100, 7, 900, 0.7, 6.0),
        Costs(2.0, 100, 7, 600, 0.6, 5.0),
    ]

    found = small([IMAGE], [run("image", 0.6, seed=i, costs=one) for i, one in enumerate(costs)])

    assert found.standings[0].costs == Costs(2.0, 100, 7, 900, 0.6, 5.0)


def test_a_latency_that_one_run_measured_is_that_run_s() -> None:
    costs = [Costs(latency_1=0.8, latency_64=6.0), Costs(), Costs()]

    found = small([IMAGE], [run("image", 0.6, seed=i, costs=one) for i, one in enumerate(costs)])

    assert (found.standings[0].costs.latency_1, found.standings[0].costs.latency_64) == (0.8, 6.0)


def test_trials_are_counted_by_arm_and_by_how_they_ended() -> None:
    states: Sequence[tuple[str, TrialState]] = (
        ("image", "complete"), ("image", "complete"), ("image", "pruned"), ("image", "failed"),
        ("image", "running"), ("text", "complete"),
    )  # fmt: skip
    trials = [
        TrialView(index, name, 0, index, state, {}) for index, (name, state) in enumerate(states)
    ]

    found = small([IMAGE], [run("image", 0.6)], trials=trials).standings[0]

    assert (found.trials, found.failed) == (3, 1)


# ------------------------------------------------------------------------------ flat rows


def test_leaderboard_rows_are_flat_and_in_order(study: StudyView) -> None:
    found = of_study(study)

    rows = leaderboard_rows(found)

    assert list(rows[0]) == [
        "rank", "arm", "kind", "stage", "validation", "test", "test_low", "test_high",
        "difference", "difference_low", "difference_high", "p", "p_holm", "train_seconds",
        "parameters", "frozen_parameters", "peak_memory", "latency_1_ms", "latency_64_ms", "seeds",
        "trials", "failed",
    ]  # fmt: skip
    assert all(list(row) == list(rows[0]) for row in rows)
    assert [row["arm"] for row in rows] == [line.arm.name for line in found.lines]
    assert rows[-1]["arm"] == "ensemble"
    for row, line in zip(rows, found.lines, strict=True):
        assert (row["test"], row["test_low"]) == (line.test.value, line.test.low)
        assert row["difference"] == (line.difference.value if line.difference else None)
        assert row["latency_64_ms"] == (line.costs.latency_64 or None)
