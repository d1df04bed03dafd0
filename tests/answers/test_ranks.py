"""Ranks over data sets agree with the paper that proposed them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmauto.answers.ranks import critical_difference, friedman, ranked, ranking
from mmauto.errors import ConfigError
from mmauto.testing.fakes_study import fake_study
from mmauto.views import StudyView

# Demsar 2006, table 6: AUC of four variants of C4.5 on 14 data sets; 0.9754 is printed as 0.975,
# but ranked before the 0.975 beside it
TREES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9754, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def studies(count: int, **config: object) -> list[StudyView]:
    """Studies of so many data sets."""
    return [
        replace(fake_study(place), name=f"d{place}", config={"data": f"{place}.csv", **config})
        for place in range(count)
    ]


def scored(views: Sequence[StudyView], scores: np.ndarray, maximise: bool) -> list[StudyView]:
    """The studies with these test metrics ``(D, A)`` for their first arms, and no others."""
    found = []
    for view, row in zip(views, scores, strict=True):
        lines = sorted(view.comparison.standings, key=lambda line: line.arm.name)[: len(row)]
        lines = [
            replace(line, test=replace(line.test, value=float(value)))
            for line, value in zip(lines, row, strict=True)
        ]
        comparison = replace(view.comparison, standings=tuple(lines), maximise=maximise)
        found.append(replace(view, comparison=comparison))
    return found


def test_average_ranks_are_those_of_the_paper() -> None:
    found = ranked(TREES, AUC, AUC, range(len(AUC)))
    assert found.arms == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert found.means.round(3).tolist() == [1.964, 2.0, 2.893, 3.143]
    assert 0.01 < found.p < 0.05


@pytest.mark.parametrize(
    ("arms", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_critical_values_are_those_of_the_papers_table(arms: int, quantile: float) -> None:
    sets = 14
    found = critical_difference(arms, sets) / math.sqrt(arms * (arms + 1) / (6 * sets))
    # the paper's table is truncated in places
    assert found == pytest.approx(quantile, abs=1.5e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_arms_that_are_close_stand_together_and_the_others_do_not() -> None:
    rng = np.random.default_rng(0)
    better = np.array([4.0, 3.9, 1.0, 0.9]) + 0.5 * rng.normal(size=(12, 4))
    found = ranked("abcd", better, better, range(12))
    assert found.p < 0.001
    assert [set(names) for names in found.together] == [{"a", "b"}, {"c", "d"}]
    assert found.critical == critical_difference(4, 12)


def test_pairs_are_not_tested_where_all_arms_together_do_not_differ() -> None:
    better = np.random.default_rng(0).normal(size=(8, 4))
    found = ranked("abcd", better, better, range(8))
    assert found.p > 0.05
    assert math.isnan(found.critical)
    assert found.together == ()


def test_nothing_but_ties_is_no_difference() -> None:
    assert friedman(np.full((6, 3), 2.0)) == 1.0


@pytest.mark.parametrize("maximise", [True, False])
def test_rank_one_is_the_best_whichever_way_the_metric_goes(maximise: bool) -> None:
    scores = np.array([[0.9, 0.5, 0.1]] * 3)
    found = ranking(scored(studies(3), scores, maximise))
    best = "boosting" if maximise else "cross_attention"  # the first and the last of three
    assert found.arms[0] == best
    assert found.means.tolist() == [1.0, 2.0, 3.0]
    assert found.scores[0, 0] == (0.9 if maximise else 0.1)


def test_fewer_than_five_data_sets_have_ranks_and_no_test() -> None:
    few, enough = ranking(studies(4)), ranking(studies(5))
    assert math.isnan(few.p)
    assert few.ranks.shape == (4, 8)
    assert enough.p < 0.001
    assert enough.sources == 5


def test_splits_of_one_data_set_count_once() -> None:
    found = ranking(studies(6, data="one.csv"))
    assert found.sources == 1
    assert math.isnan(found.p)


def test_splits_of_one_data_set_do_not_make_chance_a_finding() -> None:
    rng = np.random.default_rng(0)
    sources = np.repeat(range(5), 4)
    claims = 0
    for _ in range(40):
        # which arm suits a data set is chance, and the same in each of its splits
        better = rng.normal(size=(5, 4))[sources] + 0.3 * rng.normal(size=(20, 4))
        found = ranked("abcd", better, better, sources.tolist())
        assert found.ranks.shape == (20, 4)
        assert found.by_source.shape == (5, 4)
        assert math.isnan(found.critical) or found.critical == critical_difference(4, 5)
        claims += found.p < 0.05
    assert claims <= 5


def test_ranks_of_splits_are_averaged_before_they_count() -> None:
    better = np.array([[3, 2, 1], [3, 2, 1], [2, 3, 1], [1, 2, 3]])
    found = ranked("abc", better, better, ["one", "one", "one", "two"])
    assert (found.arms, found.sources) == (("a", "b", "c"), 2)
    assert found.means.tolist() == [2.0, 2.0, 2.0]


def test_two_arms_are_ranked_and_not_tested() -> None:
    found = ranking(scored(studies(5), np.array([[0.9, 0.5]] * 5), True))
    assert found.means.tolist() == [1.0, 2.0]
    assert math.isnan(found.p)


def test_an_arm_that_one_study_lacks_is_left_out() -> None:
    views = studies(3)
    lines = tuple(s for s in views[1].comparison.standings if s.arm.name != "boosting")
    views[1] = replace(views[1], comparison=replace(views[1].comparison, standings=lines))
    found = ranking(views)
    assert "boosting" not in found.arms
    assert len(found.arms) == 7


def test_studies_without_common_arms_are_refused() -> None:
    one, two = studies(2)
    lines = tuple(
        replace(s, arm=replace(s.arm, name=s.arm.name.upper())) if s.arm.name != "boosting" else s
        for s in two.comparison.standings
    )
    two = replace(two, comparison=replace(two.comparison, standings=lines))
    with pytest.raises(ConfigError) as error:
        ranking([one, two])
    assert str(error.value) == (
        "studies of different rows are compared by the arms that all of them have, d0, d1 have "
        "boosting in common; search them with the same --fusions and --controls"
    )


def test_a_mixture_of_same_and_different_rows_is_refused() -> None:
    one, two = studies(2)
    with pytest.raises(ConfigError) as error:
        ranking([one, two, replace(one, name="twin")])
    assert str(error.value) == (
        "studies are either all of the same test rows or all of different ones, d0 and twin share "
        "theirs and others do not; compare those two alone, or leave one of them out"
    )
