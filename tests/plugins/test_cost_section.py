"""The section on costs: fronts drawn as they are, the bargain in words, names that do nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from mmauto_sections.cost import AXES, WIDE, Cost

from mmauto.answers.pareto import PRICES, bargains, priced
from mmauto.blocks import unfolded
from mmauto.plugin import Figure, StudyView, Table, Text
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import Costs, Interval

HOSTILE = "</script><b>x</b> & {0} %{y}"


def study_with(costs: list[Costs], maximise: bool = True, seed: int = 0) -> StudyView:
    """The fake study whose first standings cost so much; the others' costs were not measured."""
    study = fake_study(seed)
    found = study.comparison
    padded = [*costs, *[Costs()] * (len(found.standings) - len(costs))]
    lines = [replace(s, costs=c) for s, c in zip(found.standings, padded, strict=True)]
    metric = "balanced_accuracy" if maximise else "rmse"
    task = study.task if maximise else replace(study.task, primary="stay_days", metric="rmse")
    return replace(
        study,
        task=task,
        comparison=replace(found, standings=tuple(lines), maximise=maximise, metric=metric),
    )


def figures(study: StudyView) -> list[Figure]:
    return [block for block in unfolded(Cost().render(study)) if isinstance(block, Figure)]


def tables(study: StudyView) -> list[Table]:
    return [block for block in unfolded(Cost().render(study)) if isinstance(block, Table)]


def rising() -> list[Costs]:
    return [Costs(train_seconds=float(seconds)) for seconds in (40, 3, 2, 1)]


@pytest.mark.parametrize("maximise", [True, False], ids=["balanced_accuracy", "rmse"])
def test_the_front_is_joined_and_points_the_right_way(maximise: bool) -> None:
    # the dearest is the best of the four, whichever way the metric points
    study = study_with(rising() if maximise else rising()[::-1], maximise)
    (figure,) = figures(study)
    line = next(trace for trace in figure.data if trace["name"] == "front")
    points = priced(study)["train_seconds"]
    assert line["x"] == [p.cost for p in points if p.front]
    assert line["y"] == [p.line.test.value for p in points if p.front]
    steps = np.diff(line["y"])
    assert len(steps) > 0
    assert (steps > 0).all() if maximise else (steps < 0).all()
    assert ("top left" if maximise else "bottom left") in figure.caption
    assert line["mode"] == "lines"
    named = [trace["name"].removesuffix(" ★") for trace in figure.data if trace.get("hovertext")]
    assert set(named) - {"behind"} == {p.line.arm.name for p in points if p.front}


def test_every_measured_arm_is_drawn_once_and_named() -> None:
    study = study_with(rising())
    (figure,) = figures(study)
    named = [name for trace in figure.data for name in trace.get("hovertext", ())]
    assert sorted(named) == sorted(s.arm.name for s in study.comparison.standings[:4])
    assert {trace["mode"] for trace in figure.data if trace["name"] == "behind"} <= {"markers"}


def test_bars_end_where_the_intervals_end() -> None:
    study = study_with(rising())
    tests = {s.arm.name: s.test for s in study.comparison.standings}
    for trace in figures(study)[0].data:
        for place, name in enumerate(trace.get("hovertext", ())):
            own: Interval = tests[name]
            assert trace["y"][place] + trace["error_y"]["array"][place] == pytest.approx(own.high)
            low = trace["y"][place] - trace["error_y"]["arrayminus"][place]
            assert low == pytest.approx(own.low)


@pytest.mark.parametrize(("most", "kind"), [(WIDE, "linear"), (WIDE + 1, "log")])
def test_a_wide_range_of_costs_is_logarithmic(most: int, kind: str) -> None:
    study = study_with([Costs(latency_1=1.0), Costs(latency_1=float(most))])
    (figure,) = figures(study)
    assert figure.layout["xaxis"]["type"] == kind
    assert ("logarithmic" in figure.caption) == (kind == "log")


def test_memory_is_shown_in_megabytes() -> None:
    (figure,) = figures(study_with([Costs(peak_memory=3 << 20), Costs(peak_memory=5 << 20)]))
    assert {x for trace in figure.data for x in trace["x"]} == {3, 5}
    assert "MB" in figure.layout["xaxis"]["title"]["text"]


def test_each_cost_of_an_arm_is_priced_and_named() -> None:
    assert list(AXES) == list(PRICES)


def test_a_cost_that_is_the_same_for_all_has_no_figure_but_a_column() -> None:
    study = study_with([Costs(peak_memory=7)] * 4)
    assert figures(study) == []
    assert "peak memory" in tables(study)[1].columns


def test_the_table_says_who_is_on_which_front() -> None:
    study = study_with([Costs(2.0, 10), Costs(1.0, 20), Costs(5.0), Costs(0.0, 5)])
    members = tables(study)[1]
    points = priced(study)
    assert members.columns[2:] == ("training time", "trained parameters", "all parameters")
    for row, line in zip(members.rows, study.comparison.standings, strict=True):
        for cell, cost in zip(row[2:], ("train_seconds", "parameters", "all_parameters"),
                              strict=True):  # fmt: skip
            own = [p.front for p in points[cost] if p.line is line]
            assert cell == {(): None, (True,): "front", (False,): "behind"}[tuple(own)]
    assert str(members.rows[0][0]).endswith("★")


def test_the_words_and_the_second_table_give_the_bargains() -> None:
    first = fake_study().comparison.standings
    same = [Costs(train_seconds=90.0), Costs(train_seconds=30.0)]
    study = study_with(same)
    # the second arm answers as the winner does
    twin = {r.seed: r for r in study.confirmations if r.arm == first[0].arm.name}
    runs = [replace(r, test=twin[r.seed].test) if r.arm == first[1].arm.name else r
            for r in study.confirmations]  # fmt: skip
    study = replace(study, confirmations=tuple(runs))
    found = bargains(study)["train_seconds"]
    assert (found.arm, found.times) == (first[1].arm.name, 3.0)
    lead = next(b for b in Cost().render(study) if isinstance(b, Text))
    assert f"{first[1].arm.name} trains 3.0 times faster (+0.000 [" in lead.text
    assert lead.style == "lead"
    assert tables(study)[0].rows[0][:3] == ["training time", first[1].arm.name, "3.0"]


@pytest.mark.parametrize("maximise", [True, False])
def test_where_nothing_cheaper_will_do_the_words_say_so(maximise: bool) -> None:
    study = study_with([Costs(train_seconds=1.0), Costs(train_seconds=2.0)], maximise)
    texts = [block.text for block in Cost().render(study) if isinstance(block, Text)]
    assert f"No arm is clearly cheaper than {study.comparison.winner}" in texts[0]
    assert tables(study)[0].rows[0][1:] == ["no other that is clearly cheaper", None, None]


def test_hostile_names_are_inert_in_figures() -> None:
    study = study_with(rising())
    found = study.comparison
    lines = [replace(s, arm=replace(s.arm, name=f"{HOSTILE}{s.rank}")) for s in found.standings]
    names = {s.arm.name: line.arm.name for s, line in zip(found.standings, lines, strict=True)}
    study = replace(
        study,
        arms=[replace(arm, name=names[arm.name]) for arm in study.arms],
        confirmations=[replace(r, arm=names[r.arm]) for r in study.confirmations],
        comparison=replace(found, standings=tuple(lines), winner=lines[0].arm.name),
    )
    blocks = unfolded(Cost().render(study))
    assert any(HOSTILE in row[0] for row in tables(study)[1].rows)
    for block in blocks:
        if isinstance(block, Figure):
            drawn = json.dumps([list(block.data), dict(block.layout)])
            assert "<b>" not in drawn
            assert "&lt;b&gt;x&lt;/b&gt; &amp; {0}" in drawn


def test_a_study_without_results_has_no_such_section() -> None:
    assert list(Cost().render(empty_study())) == []
    assert list(Cost().render(study_with([]))) == []


def test_blocks_are_plain_json() -> None:
    json.dumps([asdict(block) for block in unfolded(Cost().render(fake_study()))], allow_nan=False)
