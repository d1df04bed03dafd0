"""Packs: what is learned, independence of neighbours, failures that stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.metrics import score
from mmauto.registry import Registry

Make = Callable[..., TrialJob]


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.mark.parametrize("encoder", ["toy_frozen", "toy_trained"])
def test_a_candidate_learns_the_known_truth(
    make_job: Make, setup: Setup, registry: Registry, encoder: str
) -> None:
    job = make_job(encoder=encoder, epochs=25, patience=25, score_test=True)
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.state == "complete"
    truth = setup.targets["y"][setup.splits.test]
    assert score("accuracy", setup.specs["y"], truth, outcome.test["y"]) > 0.7
    days = setup.targets["days"][setup.splits.test]
    assert score("r2", setup.specs["days"], days, outcome.test["days"]) > 0.6
    np.testing.assert_allclose(outcome.test["y"].sum(1), 1, atol=1e-5)


def test_the_value_is_the_best_epochs_and_belongs_to_the_predictions(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    (outcome,) = Executor(setup, registry).run_pack([make_job()], go_on)
    assert outcome.value == max(outcome.curve) == outcome.curve[outcome.best_epoch]
    truth = setup.targets["y"][setup.splits.valid]
    again = score("balanced_accuracy", setup.specs["y"], truth, outcome.valid["y"])
    assert again == pytest.approx(outcome.value)
    assert not outcome.test


def test_a_result_does_not_depend_on_the_jobs_beside_it(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    others = [make_job(n, params={"train/lr": 10.0**-n, "fusion/dropout": 0.3}) for n in (1, 2, 3)]
    alone = Executor(setup, registry).run_pack([make_job(0)], go_on)[0]
    packed = Executor(setup, registry).run_pack([others[0], make_job(0), *others[1:]], go_on)[1]
    assert alone.curve == packed.curve
    np.testing.assert_array_equal(alone.valid["y"], packed.valid["y"])


def test_the_same_seed_gives_the_same_and_another_seed_another_result(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    executor = Executor(setup, registry)
    one, two, other = executor.run_pack([make_job(0), make_job(1), make_job(2, seed=9)], go_on)
    assert one.curve == two.curve != other.curve


def test_a_pruned_trials_values_are_a_prefix_of_the_unpruned_ones(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    whole, cut = Executor(setup, registry).run_pack(
        [make_job(0), make_job(1)],
        lambda epoch, values: {trial: trial == 0 or epoch < 2 for trial in values},
    )
    assert (whole.state, cut.state) == ("complete", "pruned")
    assert cut.curve == whole.curve[:3]
    assert len(cut.valid["y"]) == len(setup.splits.valid)


def test_patience_ends_a_trial(make_job: Make, setup: Setup, registry: Registry) -> None:
    job = make_job(epochs=60, patience=3, params={"train/lr": 1e-2})
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert len(outcome.curve) == outcome.best_epoch + 1 + 3 < 60


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        (
            "raise",
            "plugin",
            "fusion 'faulty' (mmauto-toys 1.0): ValueError: wrong shape, said the plugin",
        ),
        (
            "nan",
            "nan",
            "fusion 'faulty' (mmauto-toys 1.0): NotFiniteError: the training loss of epoch 1",
        ),
        ("oom", "oom", "out of memory"),
        ("shape", "plugin", "fusion 'faulty' must give outputs of shape (32, 3) for target 'y'"),
        ("type", "plugin", "fusion 'faulty' must give a FusionResult, it gave dict"),
    ],
)
def test_a_failure_is_classified_and_leaves_the_pack_alone(
    make_job: Make, setup: Setup, registry: Registry, how: str, kind: str, message: str
) -> None:
    bad = make_job(0, component="faulty", params={"fusion/how": how})
    failed, fine = Executor(setup, registry).run_pack([bad, make_job(1)], go_on)
    assert failed.state == "failed"
    assert failed.failure is not None
    assert failed.failure.kind == kind
    assert message in failed.failure.message
    assert "Traceback" in failed.failure.traceback or failed.failure.traceback
    assert fine.state == "complete"


def test_a_failure_is_told_before_the_others_are_compared(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    """Or the failed one could hold the only place, and everyone else be pruned for it."""
    told: list[object] = []
    bad = make_job(0, component="faulty", params={"fusion/how": "nan"})
    executor = Executor(setup, registry, done=lambda outcome: told.append(outcome.id))
    executor.run_pack(
        [bad, make_job(1, epochs=2)],
        lambda epoch, values: told.append(set(values)) or dict.fromkeys(values, True),
    )
    assert told == [0, {1}, {1}, 1]


def test_outcomes_are_announced_as_soon_as_they_are_there(
    make_job: Make, setup: Setup, registry: Registry
) -> None:
    seen: list[tuple[int, int]] = []
    epochs: list[int] = []
    executor = Executor(setup, registry, done=lambda o: seen.append((o.id, len(epochs))))
    executor.run_pack(
        [make_job(0, epochs=2), make_job(1, epochs=5)],
        lambda epoch, values: epochs.append(epoch) or dict.fromkeys(values, True),
    )
    assert seen == [(0, 2), (1, 5)]


def test_controls_run_in_the_same_pack(make_job: Make, setup: Setup, registry: Registry) -> None:
    control = make_job(5, kind="control", component="majority", score_test=True)
    outcome, fusion = Executor(setup, registry).run_pack([control, make_job(6)], go_on)
    assert outcome.state == "complete"
    assert outcome.value == pytest.approx(1 / 3)
    assert fusion.value > outcome.value
    assert outcome.test["days"].shape == (len(setup.splits.test), 1)


def test_costs_count_parameters_and_time(make_job: Make, setup: Setup, registry: Registry) -> None:
    (outcome,) = Executor(setup, registry).run_pack([replace(make_job(), measure=True)], go_on)
    costs = outcome.costs
    assert costs.train_seconds > 0
    assert costs.latency_64 > 0 < costs.latency_1
    assert costs.parameters > 16 * 64
    assert costs.peak_memory > 0


def test_modality_dropout_takes_part(make_job: Make, setup: Setup, registry: Registry) -> None:
    extra = {"regulariser": "modality_dropout", "regulariser/modality_dropout/p": 0.3}
    plain, dropped = Executor(setup, registry).run_pack(
        [make_job(0), make_job(1, params=extra)], go_on
    )
    assert dropped.state == "complete"
    assert dropped.curve != plain.curve or dropped.losses != plain.losses


def test_the_time_of_training_and_the_part_that_is_validation(
    make_job: Callable[..., TrialJob], setup: Setup, registry: Registry
) -> None:
    (outcome,) = Executor(setup, registry).run_pack([make_job(0)], go_on)
    assert 0 < outcome.costs.evaluation_seconds < outcome.costs.train_seconds
