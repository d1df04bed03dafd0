from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mmauto.answers.abstention import abstention
from mmauto.answers.compare import compare
from mmauto.answers.pooled import pooled
from mmauto.answers.pooled_runs import quantiles
from mmauto.answers.profile import profile
from mmauto.answers.rankings import rankings
from mmauto.answers.rates import class_rates
from mmauto.answers.scores import scores_of
from mmauto.answers.several import merged
from mmauto.errors import StoreError
from mmauto.registry import load_registry
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, ConfirmationView, Costs, Optimism, StudyView

FOLDS = (1, 2, 3)
ARMS = ("concat_mlp", "logit_mean", "text alone", "boosting", "majority")


def fold(number: int, **changes: Any) -> StudyView:
    """A made-up study with rows of its own."""
    view = fake_study(number)
    ids = {
        split: np.array([f"{number}-{one}" for one in names]) for split, names in view.ids.items()
    }
    groups = {
        split: None if g is None else np.array([f"{number}-{one}" for one in g])
        for split, g in view.groups.items()
    }
    own = {
        "ids": ids,
        "groups": groups,
        "config": {**view.config, "folds": 3},
        "arms": [arm for arm in view.arms if arm.name in ARMS],
        "trials": [trial for trial in view.trials if trial.arm in ARMS],
        "confirmations": [run for run in view.confirmations if run.arm in ARMS],
        "comparison": replace(
            view.comparison,
            standings=tuple(s for s in view.comparison.standings if s.arm.name in ARMS),
        ),
    }
    return replace(view, **{**own, **changes})


@pytest.fixture(scope="module")
def folds() -> list[StudyView]:
    return [fold(number) for number in FOLDS]


@pytest.fixture(scope="module")
def whole(folds: list[StudyView]) -> StudyView:
    return pooled(folds)


def binary(
    number: int,
    scores: dict[str, np.ndarray],
    truth: np.ndarray,
    values: Sequence[float] = (0.6, 0.5),
) -> StudyView:
    """One fold by AUROC, of one seed; arms whose name ends in "only" are single modalities.

    Args:
        scores: arm -> its test predictions.
        values: the arms' validation values.
    """
    spec = TargetSpec("y", "binary", ("no", "yes"))
    task = TaskView("t", {"a": "text", "b": "tabular"}, {"y": spec}, "y", "auroc")
    arms = [
        ArmView(name, "single" if name.endswith("only") else "fusion", name, "stage", name)
        for name in scores
    ]
    runs = [
        ConfirmationView(name, 0, 0, {}, value, (), {"y": given[:, None]}, {"y": given[:, None]},
                         thresholds={"y": np.array([0.5])})
        for (name, given), value in zip(scores.items(), values, strict=True)
    ]  # fmt: skip
    labels = {split: {"y": truth} for split in ("valid", "test")}
    ids = {split: np.array([f"{number}-{row}" for row in range(len(truth))]) for split in labels}
    groups: dict[str, np.ndarray | None] = dict.fromkeys(labels, None)
    return replace(
        fake_study(), name=str(number), task=task, config={"folds": 3}, arms=arms, trials=(),
        confirmations=runs, truth=labels, groups=groups, ids=ids, ceiling={},
        comparison=compare(task, arms, (), runs, labels, groups, ceiling={}),
    )  # fmt: skip


def test_the_score_of_an_arm_is_that_of_all_rows(folds: list[StudyView], whole: StudyView) -> None:
    truth = np.concatenate([view.truth["test"]["diagnosis"] for view in folds])
    lines = [line for line in whole.comparison.standings if line.arm.name in ARMS]
    assert len(lines) == len(ARMS)
    for line in lines:
        own = [[r for r in view.confirmations if r.arm == line.arm.name] for view in folds]
        each = [
            balanced_accuracy_score(
                truth, np.concatenate([run.test["diagnosis"].argmax(1) for run in runs])
            )
            for runs in zip(*own, strict=True)
        ]
        assert line.test.value == pytest.approx(np.mean(each))
        assert line.metrics["diagnosis"]["balanced_accuracy"] == pytest.approx(np.mean(each))
        assert line.validation == pytest.approx(np.mean([r.value for runs in own for r in runs]))
        assert line.test.low < line.test.value < line.test.high or line.arm.name == "majority"


def test_rows_groups_ids_and_trials_are_those_of_all_folds(
    folds: list[StudyView], whole: StudyView
) -> None:
    assert whole.rows == {"tested once": 360}
    assert len(np.unique(whole.ids["test"])) == 360
    assert whole.groups["test"] is not None
    assert len(np.unique(whole.groups["test"])) == 180
    assert len(whole.trials) == sum(len(view.trials) for view in folds)
    assert len({trial.id for trial in whole.trials}) == len(whole.trials)
    assert len({(trial.arm, trial.index) for trial in whole.trials}) == len(whole.trials)
    assert whole.environment["seconds"] == pytest.approx(630.0)
    assert whole.findings == folds[0].findings


def test_the_verdict_says_how_it_was_made(folds: list[StudyView], whole: StudyView) -> None:
    said = whole.comparison.verdict
    assert (
        "This is a nested 3-fold cross-validation: each of the 360 rows was tested once, by models "
        "that neither trained nor were chosen on it."
    ) in said
    half = pooled(folds[:2]).comparison.verdict
    assert (
        "Of a nested 3-fold cross-validation 2 of the folds can be counted so far: 240 rows were "
        "tested once."
    ) in half


def test_without_a_result_there_is_nothing_to_say(folds: list[StudyView]) -> None:
    found = pooled([replace(view, confirmations=()) for view in folds])
    assert found.comparison.verdict == (
        "Nothing is confirmed yet, so there is nothing to compare.",
    )


def test_what_each_fold_chose_is_an_arm() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0.0, 1.0], 30)
    names = ("early", "late", "a only", "b only")
    given = [{name: rng.random(60) for name in names} for _ in FOLDS]
    values = [(0.9, 0.5, 0.7, 0.1), (0.5, 0.8, 0.6, 0.1), (0.6, 0.4, 0.1, 0.8)]
    found = pooled(
        [binary(*each) for each in zip(FOLDS, given, [truth] * 3, values, strict=True)]
    ).comparison
    lines = {line.arm.name: line for line in found.standings}
    best = lines["best of each fold"]
    ranks = [
        quantiles(one[name][:, None])
        for one, name in zip(given, ("early", "late", "b only"), strict=True)
    ]
    assert best.test.value == pytest.approx(roc_auc_score(np.tile(truth, 3), np.concatenate(ranks)))
    assert best.rank == 1
    assert best.validation == pytest.approx((0.9 + 0.8 + 0.8) / 3)
    assert (found.winner, found.reference) == ("best of each fold", "best single of each fold")
    assert lines["best fusion of each fold"].arm.summary == "early in 2 folds, late in 1"
    first = next(line for line in found.standings if line.arm.kind == "fusion")
    assert first.arm.name == "best fusion of each fold"
    assert (
        "Arms are chosen in each fold anew, on its own validation rows: best fusion of each fold "
        "is early in 2 folds, late in 1; best single of each fold is a only in 2 folds, b only in "
        "1; best of each fold is early in 1 fold, late in 1, b only in 1."
    ) in found.verdict


def test_where_folds_agree_there_is_no_other_choice() -> None:
    truth = np.repeat([0.0, 1.0], 30)
    given = {"early": np.linspace(0, 1, 60), "a only": np.linspace(0, 1, 60)}
    found = pooled([binary(number, given, truth) for number in FOLDS]).comparison
    assert [line.arm.name for line in found.standings] == ["early", "a only"]
    assert not any("chosen in each fold" in sentence for sentence in found.verdict)


def test_an_arm_that_failed_in_one_fold_is_named(folds: list[StudyView]) -> None:
    kept = tuple(run for run in folds[1].confirmations if run.arm != "boosting")
    found = pooled([folds[0], replace(folds[1], confirmations=kept), folds[2]])
    assert "boosting" not in {line.arm.name for line in found.comparison.standings}
    assert "Without a confirmed result, and so not ranked: boosting." in found.comparison.verdict


def test_only_seeds_of_every_fold_count(folds: list[StudyView]) -> None:
    kept = tuple(run for run in folds[2].confirmations if run.seed != 4)
    found = pooled([*folds[:2], replace(folds[2], confirmations=kept)])
    seeds = {line.arm.name: line.seeds for line in found.comparison.standings}
    assert seeds == {**dict.fromkeys(seeds, 4), "majority": 1}


def test_each_fold_decides_by_its_own_threshold(folds: list[StudyView]) -> None:
    cuts = (0.2, 0.5, 0.8)
    views = [
        replace(
            view,
            confirmations=tuple(
                replace(run, thresholds={"urgent": np.array([cut])}) for run in view.confirmations
            ),
        )
        for view, cut in zip(folds, cuts, strict=True)
    ]
    found = pooled(views)
    run = next(r for r in found.confirmations if (r.arm, r.seed) == ("logit_mean", 2))
    parts = [
        next(r for r in v.confirmations if (r.arm, r.seed) == ("logit_mean", 2)) for v in views
    ]
    wanted = np.concatenate(
        [part.test["urgent"] >= cut for part, cut in zip(parts, cuts, strict=True)]
    )
    assert ((run.test["urgent"] >= 0.5) == wanted).all()
    assert not run.thresholds


def test_costs_are_medians_and_common_parameters_stay(folds: list[StudyView]) -> None:
    views = [
        replace(
            view,
            confirmations=tuple(
                replace(run, costs=Costs(seconds, 10 * number), params={"a": 1, "b": number})
                for run in view.confirmations
            ),
        )
        for number, (view, seconds) in enumerate(zip(folds, (1.0, 2.0, 9.0), strict=True))
    ]
    run = pooled(views).confirmations[0]
    assert run.costs == Costs(2.0, 10)
    assert run.params == {"a": 1}


def test_optimism_is_averaged() -> None:
    views = [
        fold(number, optimism={"": Optimism(10 * number, 0.8, 0.1 * number)}) for number in FOLDS
    ]
    found = pooled(views).optimism[""]
    assert found.chosen_from == 20
    assert (found.best, found.corrected) == pytest.approx((0.8, 0.2))


def test_auroc_ranks_within_each_fold(folds: list[StudyView]) -> None:
    task = replace(folds[0].task, metric="auroc")
    views = [replace(view, task=task) for view in folds]
    found = pooled(views)
    truth = np.concatenate([view.truth["test"]["diagnosis"] for view in views])
    line = next(s for s in found.comparison.standings if s.arm.name == "concat_mlp")
    each = []
    for seed in range(5):
        parts = [
            next(r for r in v.confirmations if (r.arm, r.seed) == ("concat_mlp", seed)).test
            for v in views
        ]
        ranks = np.concatenate([rankdata(p["diagnosis"], axis=0) for p in parts])
        each.append([roc_auc_score(truth == k, ranks[:, k]) for k in range(3)])
    assert line.test.value == pytest.approx(np.mean(each))
    assert line.metrics["diagnosis"]["auroc"] == pytest.approx(np.mean(each))
    hits = pooled(folds).comparison.standings
    same = next(s for s in hits if s.arm.name == "concat_mlp")
    # decisions are by probabilities, not by ranks
    assert line.metrics["diagnosis"]["accuracy"] == same.metrics["diagnosis"]["accuracy"]


def test_a_bolder_model_in_one_fold_costs_no_auroc() -> None:
    truth = np.repeat([0.0, 1.0], 20)
    timid = np.where(truth > 0, 0.3, 0.2) + np.linspace(0, 0.05, 40)
    bold = np.where(truth > 0, 0.9, 0.6) + np.linspace(0, 0.05, 40)
    views = [
        binary(number, {"both": given, "a only": given}, truth)
        for number, given in enumerate((timid, bold, timid))
    ]
    found = pooled(views).comparison.standings
    assert [line.test.value for line in found] == [1.0, 1.0]
    assert roc_auc_score(np.tile(truth, 3), np.concatenate([timid, bold, timid])) < 0.9


def uneven() -> list[StudyView]:
    """Three folds of an AUROC study, in each of which models have a scale of their own."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0.0, 1.0], [45, 15])
    views = []
    for number, low in zip(FOLDS, (0.0, 0.3, 0.7), strict=True):
        given = {name: low + 0.3 * np.clip(0.3 * truth + 0.7 * rng.random(60), 0, 1)
                 for name in ("both", "a_only", "b_only")}  # fmt: skip
        views.append(binary(number, given, truth, (0.8, 0.7, 0.6)))
    return views


def test_whatever_ranks_agrees_with_the_leaderboard() -> None:
    found = pooled(uneven())
    lines = {line.arm.name: line for line in found.comparison.standings}
    assert found.comparison.winner == "both"
    curves = {one.arm: one.auroc for one in rankings(found)}
    assert curves == pytest.approx({name: lines[name].test.value for name in curves})
    assert scores_of(found, "both")["auroc"].value == pytest.approx(lines["both"].test.value)
    twice = merged([replace(found, name="A"), replace(found, name="B")])
    for line in twice.comparison.standings:
        own = lines[line.arm.name.partition("/")[2]]
        assert line.test.value == pytest.approx(own.test.value)
        assert line.metrics == own.metrics


def test_decisions_are_by_what_was_predicted_even_where_rows_are_ranked() -> None:
    views = uneven()
    found = pooled(views)
    (run,) = (run for run in found.decisions if run.arm == "both")
    assert np.array_equal(
        run.test["y"], np.concatenate([v.confirmations[0].test["y"] for v in views])
    )
    line = found.comparison.standings[0]
    truth = found.truth["test"]["y"]
    hits = float(((run.test["y"][:, 0] >= 0.5) == truth).mean())
    assert line.metrics["y"]["accuracy"] == pytest.approx(hits)
    assert scores_of(found, "both")["accuracy"].value == pytest.approx(hits)
    assert abstention(found)[0].errors[-1] == pytest.approx(1 - hits)
    recall = {rate.name: rate.recall.value for rate in class_rates(found)}
    assert recall["yes"] == pytest.approx((run.test["y"][truth == 1] >= 0.5).mean())
    for entry in load_registry().all("section").values():
        list(entry.component.render(found))  # type: ignore[attr-defined]


def test_what_is_predicted_stays_where_nothing_is_ranked(whole: StudyView) -> None:
    assert not whole.predicted
    assert whole.decisions is whole.confirmations


def test_choices_of_the_folds_are_no_modalities() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0.0, 1.0], 30)
    values = [(0.9, 0.7, 0.1), (0.8, 0.6, 0.1), (0.9, 0.1, 0.8)]
    views = []
    for number, each in zip(FOLDS, values, strict=True):
        given = {name: truth + rng.normal(0, 1, 60) for name in ("both", "a_only", "b_only")}
        views.append(binary(number, given, truth, each))
    found = pooled(views)
    assert "best single of each fold" in {line.arm.name for line in found.comparison.standings}
    known = profile(found)
    assert known is not None
    assert set(known.informative) == {"a", "b"}


def test_an_arm_that_never_validated_has_no_result() -> None:
    truth = np.repeat([0.0, 1.0], 30)
    given = {name: np.linspace(0, 1, 60) for name in ("early", "a only")}
    views = [binary(number, given, truth) for number in FOLDS]
    unknown = [
        replace(v, confirmations=[replace(v.confirmations[0], value=None), v.confirmations[1]])
        for v in views
    ]
    found = pooled(unknown)
    assert found.confirmations[0].value is None
    assert [line.arm.name for line in found.comparison.standings] == ["a only"]
    assert "Without a confirmed result, and so not ranked: early." in found.comparison.verdict


def test_quantiles_keep_order_and_ties() -> None:
    given = np.array([[0.1, 5.0], [0.3, 5.0], [0.2, -1.0], [0.9, 7.0]])
    assert quantiles(given)[:, 0].tolist() == [0.125, 0.625, 0.375, 0.875]
    assert quantiles(given)[:, 1].tolist() == [0.5, 0.5, 0.125, 0.875]


@pytest.mark.parametrize("seed", [1000, 1001, 1002])  # of 150 such studies 5 claim something
def test_nothing_is_claimed_where_labels_are_unrelated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    views = [
        binary(
            number,
            {"both": rng.random(60), "a only": rng.random(60)},
            rng.permutation(np.repeat([0.0, 1.0], 30)),
        )
        for number in FOLDS
    ]
    said = " ".join(pooled(views).comparison.verdict)
    assert "This data cannot decide whether fusion helps" in said


def test_folds_of_changed_data_are_refused(folds: list[StudyView]) -> None:
    message = "the folds of a study are dealt once from the same rows, those of fake differ"
    with pytest.raises(StoreError, match=message):
        pooled([folds[0], folds[0]])
    numbered = [
        replace(view, config={**view.config, "fold": number})
        for number, view in zip(FOLDS, folds, strict=True)
    ]
    with pytest.raises(StoreError, match=message):
        pooled(numbered)  # what validates in one is not what the next one tests


def test_folds_that_hand_on_their_rows_are_accepted() -> None:
    views: Sequence[StudyView] = [fold(number) for number in FOLDS]
    handed = [
        replace(
            view,
            config={**view.config, "fold": number},
            truth={"test": view.truth["test"], "valid": after.truth["test"]},
        )
        for number, view, after in zip(FOLDS, views, [*views[1:], views[0]], strict=True)
    ]
    assert pooled(handed).rows == {"tested once": 360}
    assert "fold" not in pooled(handed).config


def test_every_section_of_the_report_takes_it(whole: StudyView) -> None:
    for entry in load_registry().all("section").values():
        list(entry.component.render(whole))  # type: ignore[attr-defined]
