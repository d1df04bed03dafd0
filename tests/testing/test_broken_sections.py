"""Each check of sections can fail: one broken section a check; and the fake study is sound."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Figure, Section, Table, Text
from mmauto.testing import check_component, component_checks
from mmauto.testing.checks_section import CHECKS
from mmauto.testing.fakes_study import empty_study, fake_study


class Good(Section):
    name = "good"
    title = "Good"
    summary = "rows and points"
    reference = "made up"

    def render(self, study):
        table = Table(("split", "rows"), list(study.rows.items()))
        figure = Figure([{"x": [1], "y": [2]}], {}, "how to read it", "a point")
        return [Text(study.name), table, figure]


class NoTitle(Good):
    title = " "


class GivesStrings(Good):
    def render(self, study):
        return ["<b>bold</b>"]


class NeedsAWinner(Good):
    def render(self, study):
        return [Text(study.comparison.standings[0].arm.name)]


class NeedsTrials(Good):
    def render(self, study):
        return [Text(str(max(trial.seconds for trial in study.trials)))]


class KeepsNan(Good):
    def render(self, study):
        return [Table(("value",), [(float("nan"),)])]


class KeepsArrays(Good):
    def render(self, study):
        return [Figure([{"x": np.arange(3)}], {}, "caption", "alt")]


class NoAlt(Good):
    def render(self, study):
        return [Figure([{"x": [1]}], {}, "caption", "")]


class NoTraces(Good):
    def render(self, study):
        return [Figure([], {}, "caption", "alt")]


class RaggedRows(Good):
    def render(self, study):
        return [Table(("a", "b"), [(1, 2), (1,)])]


class DrawsAtRandom(Good):
    def render(self, study):
        return [Text(str(random.random()))]


class SortsInPlace(Good):
    def render(self, study):
        study.truth["test"]["stay_days"].sort()
        return []


BROKEN = [
    (NoTitle, "title_and_order", "title = ' '"),
    (GivesStrings, "renders_blocks", "a str"),
    (NeedsAWinner, "renders_half_studies", "IndexError"),
    (NeedsTrials, "renders_half_studies", "ValueError"),
    (KeepsNan, "blocks_are_json", "a Table that JSON cannot hold"),
    (KeepsArrays, "blocks_are_json", "a Figure that JSON cannot hold"),
    (NoAlt, "figures_explained", "has no alt"),
    (NoTraces, "figures_explained", "has no traces"),
    (RaggedRows, "tables_are_square", "rows of [1] cells under 2 columns"),
    (DrawsAtRandom, "determinism", "rendered twice"),
    (SortsInPlace, "inputs_not_mutated", "stay_days: values differ"),
]


@pytest.mark.parametrize(("broken", "name", "seen"), BROKEN)
def test_the_check_catches_it(broken, name, seen):
    [check] = [check for _, check in component_checks(broken()) if check.name == name]
    with pytest.raises(PluginError, match="breaks the check") as caught:
        check(broken())
    assert seen in str(caught.value)


def test_every_check_has_a_broken_section():
    assert {name for _, name, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_the_section_that_they_break_is_sound():
    check_component(Good())


def test_the_fake_study_holds_what_a_report_may_meet():
    study = fake_study(seed=3)
    assert {arm.kind for arm in study.arms} == {"fusion", "single", "control"}
    assert {trial.state for trial in study.trials} == {"complete", "pruned", "failed"}
    assert {spec.kind for spec in study.task.targets.values()} == {
        "multiclass",
        "binary",
        "regression",
    }
    best = study.comparison.standings[0]
    assert (best.arm.name, best.rank) == (study.comparison.winner, 1)
    runs = [view for view in study.confirmations if view.arm == best.arm.name]
    assert np.mean([view.value for view in runs]) == pytest.approx(best.validation)
    for view in study.confirmations:
        assert study.trials[view.trial].arm == view.arm
        for name, spec in study.task.targets.items():
            assert view.test[name].shape == (study.rows["test"], spec.width)
            assert len(study.truth["test"][name]) == study.rows["test"]


def test_the_fake_study_is_seeded_and_can_be_changed():
    assert fake_study(seed=1).trials == fake_study(seed=1).trials
    assert fake_study(seed=1).trials != fake_study(seed=2).trials
    assert fake_study(findings=()).findings == ()
    assert empty_study().comparison.winner is None
