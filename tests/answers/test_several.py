"""Studies of the same rows become one comparison, whose figures are those of each study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.compare import compare
from mmauto.answers.several import duels, merged, on_same_rows, same_rows, settings
from mmauto.errors import ConfigError
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import StudyView


def shuffled(view: StudyView, seed: int = 1) -> StudyView:
    """The same study, its test rows stored in another order."""
    order = np.random.default_rng(seed).permutation(len(view.ids["test"]))
    truth = {name: values[order] for name, values in view.truth["test"].items()}
    runs = [
        replace(run, test={name: given[order] for name, given in run.test.items()})
        for run in view.confirmations
    ]
    return replace(
        view,
        truth={**view.truth, "test": truth},
        ids={**view.ids, "test": view.ids["test"][order]},
        groups={**view.groups, "test": view.groups["test"][order]},
        confirmations=runs,
    )


def compared(view: StudyView) -> StudyView:
    """With its comparison computed anew, as that of a stored study is."""
    found = compare(
        view.task, view.arms, view.trials, view.confirmations, {"test": view.truth["test"]},
        view.groups, ceiling=view.ceiling,
    )  # fmt: skip
    return replace(view, comparison=found)


def some(view: StudyView, arms: Sequence[str], name: str) -> StudyView:
    """A study of these arms alone."""
    return compared(
        replace(
            view,
            name=name,
            arms=[arm for arm in view.arms if arm.name in arms],
            trials=[trial for trial in view.trials if trial.arm in arms],
            confirmations=[run for run in view.confirmations if run.arm in arms],
        )
    )


@pytest.fixture(scope="module")
def pair() -> list[StudyView]:
    """Two studies of the same rows; the second is much the worse."""
    view = fake_study(0)
    good = some(view, ["concat_mlp", "text alone"], "good")
    return [good, shuffled(some(view, ["image alone", "tabular alone"], "bad"))]


def test_the_same_rows_are_found_in_whatever_order() -> None:
    view = fake_study(0)
    assert same_rows(view, shuffled(view))


@pytest.mark.parametrize("what", ["rows", "ids", "labels", "target", "twice"])
def test_other_rows_are_other_rows(what: str) -> None:
    view = fake_study(0)
    ids, truth = view.ids["test"], view.truth["test"]
    other = {
        "rows": lambda: replace(view, ids={"test": ids[1:]}),
        "ids": lambda: replace(view, ids={"test": np.array([f"x{i}" for i in range(len(ids))])}),
        "labels": lambda: replace(
            view, truth={"test": {**truth, "diagnosis": 2 - truth["diagnosis"]}}
        ),
        "target": lambda: replace(view, task=replace(view.task, primary="urgent")),
        "twice": lambda: replace(view, ids={"test": np.array([*ids[1:], ids[1]])}),
    }[what]()
    assert not same_rows(view, other)


def test_a_merged_study_scores_every_arm_as_its_own_study_does(pair: list[StudyView]) -> None:
    whole = merged(pair)
    own = {f"{v.name}/{s.arm.name}": s for v in pair for s in v.comparison.standings}
    assert whole.name == "good, bad"
    assert {line.arm.name for line in whole.comparison.standings} == set(own)
    for line in whole.comparison.standings:
        assert line.validation == own[line.arm.name].validation
        assert line.test.value == pytest.approx(own[line.arm.name].test.value, abs=1e-12)
        assert line.trials == own[line.arm.name].trials
    assert whole.comparison.winner == "good/concat_mlp"
    assert whole.comparison.reference == "good/text alone"
    assert whole.comparison.ensemble is None


def test_winners_differ_by_their_test_scores(pair: list[StudyView]) -> None:
    (duel,) = duels(pair, merged(pair))
    one, two = (view.comparison.standings[0].test.value for view in pair)
    assert (duel.ours, duel.theirs) == ("good/concat_mlp", "bad/image alone")
    assert duel.gain is not None
    assert duel.gain.value == pytest.approx(one - two)
    assert duel.gain.low < duel.gain.value < duel.gain.high
    assert duel.p == duel.p_holm < 0.05


def test_pairing_looks_through_the_order_of_rows() -> None:
    view = some(fake_study(0), ["concat_mlp"], "a")
    twin = shuffled(replace(view, name="b"))
    (duel,) = duels([view, twin], merged([view, twin]))
    assert duel.gain is not None
    assert (duel.gain.value, duel.gain.low, duel.gain.high) == (0.0, 0.0, 0.0)
    assert duel.p == 1.0


def test_every_pair_of_winners_is_held_against_all_pairs(pair: list[StudyView]) -> None:
    three = [*pair, replace(pair[0], name="again")]
    found = duels(three, merged(three))
    assert [(d.ours.split("/")[0], d.theirs.split("/")[0]) for d in found] == [
        ("good", "bad"), ("good", "again"), ("bad", "again"),
    ]  # fmt: skip
    assert found[0].p_holm == pytest.approx(3 * found[0].p)


def test_winners_without_a_common_seed_are_not_paired(pair: list[StudyView]) -> None:
    other = [replace(run, seed=run.seed + 9) for run in pair[1].confirmations]
    views = [pair[0], replace(pair[1], confirmations=other)]
    (duel,) = duels(views, merged(views))
    assert duel.gain is None
    assert np.isnan(duel.p)


def test_only_settings_that_differ_are_listed() -> None:
    one = replace(fake_study(0), config={"trials": 8, "seed": 0, "space": {"train/lr": 0.1}})
    two = replace(one, config={"trials": 16, "seed": 0, "data": "x.csv"})
    assert settings([one, two]) == [
        ("data", [None, "x.csv"]), ("space", [{"train/lr": 0.1}, None]), ("trials", [8, 16]),
    ]  # fmt: skip


def test_a_study_without_a_result_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        on_same_rows([fake_study(0), replace(empty_study(0), name="bare")])
    assert str(error.value) == (
        "studies are compared by their confirmed arms, bare has none yet; continue it with "
        "`mmauto search --resume`, or leave it out"
    )


def test_studies_that_chose_by_other_metrics_are_refused() -> None:
    one = fake_study(0)
    two = replace(one, name="two", task=replace(one.task, metric="accuracy"))
    with pytest.raises(ConfigError) as error:
        on_same_rows([one, two])
    assert str(error.value) == (
        "studies of the same rows are compared by one metric, fake chose by balanced_accuracy and "
        "two by accuracy; search again with --metric balanced_accuracy"
    )
