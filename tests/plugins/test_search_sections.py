"""The search in figures: numbers by brute force, both ways of a metric, names that do nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from mmauto_sections import curves, history, importance, parallel, timeline
from mmauto_sections.axes import ABSENT, metric, upright
from mmauto_sections.search import Search, saved

from mmauto.blocks import unfolded
from mmauto.plugin import ArmView, Figure, StudyView, Table, Text, TrialView
from mmauto.report.blocks import render_block
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import Failure

HOSTILE = "</script><b>x</b> & %{y}"


def oriented(maximise: bool, seed: int = 4) -> StudyView:
    """The fake study, with its values as accuracies or as errors."""
    study = fake_study(seed)
    name, metric_name = ("diagnosis", "accuracy") if maximise else ("stay_days", "rmse")
    return replace(
        study,
        task=replace(study.task, primary=name, metric=metric_name),
        comparison=replace(study.comparison, metric=metric_name, maximise=maximise),
    )


def with_trials(trials: Sequence[TrialView], maximise: bool = True) -> StudyView:
    """One arm with these trials, nothing confirmed."""
    study = oriented(maximise)
    arm = replace(study.arms[0], name="arm", importances={})
    return replace(study, arms=[arm], trials=trials, confirmations=())


def trial(number: int, value: float | None = 0.5, **changes) -> TrialView:
    made = TrialView(
        number, "arm", 0, number, "complete", {"lr": 0.1 + number, "pool": "mean"}, value,
        curve=(value or 0.0,), seconds=1.0, started=1000.0 + number,
    )  # fmt: skip
    return replace(made, **changes)


def one(found: Sequence[Figure]) -> Figure:
    (figure,) = found
    return figure


def rendered(study: StudyView) -> list:
    return list(unfolded(Search().render(study)))


both = pytest.mark.parametrize("maximise", [True, False], ids=["accuracy", "rmse"])


# ----------------------------------------------------------------------------------- the whole


def test_a_search_has_every_figure_and_a_table() -> None:
    blocks = rendered(fake_study())
    json.dumps([asdict(block) for block in blocks], allow_nan=False)
    assert sum(isinstance(block, Figure) for block in blocks) == 5
    assert sum(isinstance(block, Table) for block in blocks) == 1


def test_a_study_without_trials_has_no_search() -> None:
    assert list(Search().render(empty_study())) == []


@both
def test_one_trial_is_enough(maximise: bool) -> None:
    blocks = rendered(with_trials([trial(0)], maximise))
    json.dumps([asdict(block) for block in blocks], allow_nan=False)
    assert len(one(timeline.blocks(with_trials([trial(0)]))).data) == 1
    assert parallel.blocks(with_trials([trial(0)])) == []  # nothing varied


def test_a_search_that_has_just_begun_says_so() -> None:
    running = [trial(n, None, state="running", seconds=0.0, curve=()) for n in range(3)]
    study = with_trials(running)
    blocks = rendered(study)
    assert next(b.text for b in blocks if isinstance(b, Text)) == "No trial has a result yet."
    assert not [b for b in blocks if isinstance(b, Figure)]
    (table,) = [b for b in blocks if isinstance(b, Table)]
    assert dict(zip(table.columns, table.rows[0], strict=True))["running"] == 3


def test_a_search_that_time_has_cut_says_who_had_more_chances() -> None:
    study = fake_study()
    many, few = study.arms[0].name, study.arms[1].name
    trials = [trial(n, arm=many) for n in range(8)] + [trial(9 + n, arm=few) for n in range(4)]
    cut = replace(study, arms=study.arms[:2], trials=trials)
    told = "The search ended when arms had had from 4 to 8 trials"
    words = [block.text for block in rendered(cut) if isinstance(block, Text)]
    assert f"{told}; each was judged by the best of its first 4." in words
    words = [b.text for b in rendered(replace(cut, confirmations=())) if isinstance(b, Text)]
    assert f"{told}: those with more had more chances." in words
    even = replace(cut, trials=trials[4:])
    assert not any(told[:30] in b.text for b in rendered(even) if isinstance(b, Text))


def test_trials_are_counted_by_state() -> None:
    study = fake_study()
    (table,) = [block for block in rendered(study) if isinstance(block, Table)]
    for row in table.rows:
        own = [trial.state for trial in study.trials if trial.arm == row[0]]
        states = ("complete", "pruned", "failed", "running")
        assert row[1:5] == [own.count(state) for state in states]


def test_a_parked_arm_is_named_so() -> None:
    study = fake_study()
    arms = [replace(study.arms[0], parked=True), *study.arms[1:]]
    (table,) = [b for b in rendered(replace(study, arms=arms)) if isinstance(b, Table)]
    assert table.rows[0][0] == f"{arms[0].name} (parked)"


def test_a_search_in_which_everything_failed_still_counts() -> None:
    failed = [trial(n, None, state="failed", failure=Failure("nan", "x")) for n in range(4)]
    blocks = rendered(with_trials(failed))
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert table.rows[0][3] == 4
    assert "No trial has a result" in next(b for b in blocks if isinstance(b, Text)).text


def test_the_epochs_that_pruning_saved_are_those_of_brute_force() -> None:
    trials = [
        trial(0, curve=(0.1,) * 10), trial(1, curve=(0.1,) * 20),
        trial(2, curve=(0.1,) * 3, state="pruned"), trial(3, curve=(0.1,) * 5, state="pruned"),
        trial(4, None, curve=(0.1,) * 99, state="failed"),
        trial(5, curve=(0.1,) * 2, state="pruned", arm="all of it pruned"),
    ]  # fmt: skip
    assert saved(trials) == pytest.approx(1 - (10 + 20 + 3 + 5) / (10 + 20 + 15 + 15))
    assert saved(trials[:2]) == saved(trials[2:]) == saved([]) == 0.0
    words = next(b for b in rendered(with_trials(trials)) if isinstance(b, Text))
    assert "saved about 37 % of the epochs" in words.text


# ------------------------------------------------------------------------------------- history


@both
def test_the_best_so_far_rises_or_falls_with_the_metric(maximise: bool) -> None:
    study = oriented(maximise)
    best = np.maximum if maximise else np.minimum
    figure = one(history.blocks(study))
    lines = [t for t in figure.data if t["mode"] == "lines"]
    assert [line["name"] for line in lines] == [arm.name for arm in study.arms]
    for line in lines:
        own = [t for t in study.trials if t.arm == line["name"] and t.value is not None]
        assert line["y"] == best.accumulate([t.value for t in own]).tolist()
        assert line["x"] == [t.index + 1 for t in own]
    assert ("higher is better" if maximise else "lower is better") in figure.caption


def test_pruned_trials_are_hollow() -> None:
    study = with_trials([trial(0), trial(1, state="pruned")])
    dots = one(history.blocks(study)).data[0]
    assert dots["marker"]["symbol"] == ["circle", "circle-open"]


# ---------------------------------------------------------------------------------- importance


def test_importances_stand_under_their_arms() -> None:
    study = fake_study()
    heat = one(importance.blocks(study)).data[0]
    arms = [arm for arm in study.arms if arm.importances]
    assert heat["x"] == [arm.name for arm in arms]
    assert set(heat["y"]) == {name for arm in arms for name in arm.importances}
    for row, name in zip(heat["z"], heat["y"], strict=True):
        assert row == [arm.importances.get(name) for arm in arms]
    # plotly heeds neither end alone: the palest cell would be the least share, not none
    assert (heat["zmin"], heat["zmax"]) == (0, 0.6)


def test_one_arm_has_bars_the_largest_on_top_and_the_caption_counts_the_rest() -> None:
    study = fake_study()
    shares = {f"p{place}": place / 1000 for place in range(30)}
    figure = one(importance.blocks(replace(study, arms=[arm_with(study, shares)])))
    assert figure.data[0]["type"] == "bar"
    assert figure.data[0]["y"] == [f"p{place}" for place in range(16, 30)]
    assert figure.data[0]["x"] == [shares[name] for name in figure.data[0]["y"]]
    assert "14 largest of 30" in figure.caption


def test_without_importances_a_sentence_says_why() -> None:
    study = fake_study()
    (text,) = importance.blocks(replace(study, arms=[arm_with(study, {})]))
    assert "Too few finished trials" in text.text


def arm_with(study: StudyView, shares: dict[str, float]) -> ArmView:
    return replace(study.arms[0], importances=shares)


# ------------------------------------------------------------------------ parallel coordinates


@both
def test_the_best_trials_are_vivid_and_on_top(maximise: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.random(25).round(3).tolist()
    study = with_trials([trial(n, value) for n, value in enumerate(values)], maximise)
    *fifths, _ = one(parallel.blocks(study)).data
    assert [t["line"]["color"] for t in fifths] == list(reversed(parallel.TONES))
    best = sorted(values, reverse=maximise)[:5]
    wanted = {f"trial {values.index(value) + 1}: {value:.3f}" for value in best}
    assert set(fifths[-1]["text"]) == wanted
    # the last upright is the metric: the best trial crosses it at the top, the worst at the foot
    last = {t["text"][i]: t["y"][i] for t in fifths for i in range(1, len(t["x"]), 3)}
    top, foot = (np.argmax, np.argmin) if maximise else (np.argmin, np.argmax)
    assert last[f"trial {top(values) + 1}: {values[top(values)]:.3f}"] == 1.0
    assert last[f"trial {foot(values) + 1}: {values[foot(values)]:.3f}"] == 0.0
    assert fifths[-1]["name"] == f"{min(best):.3f} to {max(best):.3f}"


def test_a_line_crosses_each_upright_where_the_trial_stands() -> None:
    params = [{"a": 0.0, "b": "x"}, {"a": 3.0, "b": "y"}, {"a": 4.0, "b": "x"}]
    study = with_trials([trial(n, 0.1 * n, params=p) for n, p in enumerate(params)])
    *fifths, marks = one(parallel.blocks(study)).data
    lines = {t["text"][0]: (t["x"], t["y"]) for t in fifths}
    assert lines["trial 2: 0.100"] == ([0, 1, 2, None], [0.75, 1.0, 0.5, None])
    said = set(zip(marks["x"], marks["y"], marks["text"], strict=True))
    assert {(0, 0.0, " 0"), (0, 1.0, " 4"), (1, 0.0, " x"), (1, 1.0, " y")} <= said


def test_one_arm_is_seen_at_a_time() -> None:
    study = fake_study()
    figure = one(parallel.blocks(study))
    (menu,) = figure.layout["updatemenus"]
    owners = [arm.name for arm in study.arms if arm.component != "majority"]
    assert [button["label"] for button in menu["buttons"]] == owners
    seen = [button["args"][0]["visible"] for button in menu["buttons"]]
    assert [trace["visible"] for trace in figure.data] == seen[0]
    assert [sum(column) for column in zip(*seen, strict=True)] == [1] * len(figure.data)
    for button, shown in zip(menu["buttons"], seen, strict=True):
        own = [t for t, on in zip(figure.data, shown, strict=True) if on and t["mode"] == "lines"]
        drawn = {text for t in own for text in t["text"]}
        assert drawn == {
            f"trial {t.index + 1}: {t.value:.3f}"
            for t in study.trials
            if t.arm == button["label"] and t.value is not None
        }


def test_the_twelve_most_important_parameters_come_first() -> None:
    names = [f"p{place:02d}" for place in range(20)]
    trials = [trial(n, 0.1 * n, params={m: float(n) for m in names}) for n in range(3)]
    study = with_trials(trials)
    shares = {name: float(place) for place, name in enumerate(names)}
    study = replace(study, arms=[replace(study.arms[0], importances=shares)])
    ticks = one(parallel.blocks(study)).layout["xaxis"]["ticktext"]
    assert ticks == [*reversed(names[8:]), "accuracy"]


def test_a_parameter_that_never_varied_has_no_upright() -> None:
    study = with_trials([trial(n, 0.1 * n) for n in range(3)])
    assert one(parallel.blocks(study)).layout["xaxis"]["ticktext"] == ["lr", "accuracy"]


def test_choices_stand_evenly_and_numbers_by_size() -> None:
    texts = upright("join", ["sum", "concat", "sum", True])
    assert texts.heights == (1.0, 0.5, 1.0, 0.0)
    assert texts.marks == ((0.0, "yes"), (0.5, "concat"), (1.0, "sum"))
    few = upright("width", [512, 64, 128])
    assert few.heights == (1.0, 0.0, 0.5)
    many = upright("features", list(range(0, 80, 10)))
    assert many.heights[3] == pytest.approx(30 / 70, abs=1e-4)


def test_a_wide_scale_on_which_most_trials_are_small_is_logarithmic() -> None:
    axis = upright("lr", [1e-4, 1e-3, 1e-2])
    assert axis.heights == (0.0, 0.5, 1.0)
    assert [text for _, text in axis.marks] == ["0.0001", "0.001", "0.01"]
    assert upright("dropout", [0.01, 0.255, 0.5]).heights == (0.0, 0.5, 1.0)


def test_trials_to_which_a_parameter_does_not_apply_cross_at_the_foot() -> None:
    axis = upright("heads", [2, None, 8])
    assert axis.heights == (0.0, ABSENT, 1.0)
    assert axis.marks[0] == (ABSENT, "–")


@both
def test_the_metric_stands_with_the_best_on_top(maximise: bool) -> None:
    axis = metric("m", [0.2, 0.4], maximise)
    assert axis.heights == ((0.0, 1.0) if maximise else (1.0, 0.0))
    assert dict(axis.marks)[1.0] == ("0.400" if maximise else "0.200")
    assert metric("m", [0.2, 0.2], maximise).heights == (0.5, 0.5)


# ------------------------------------------------------------------------------------ timeline


def test_lanes_never_overlap_and_are_as_few_as_can_be() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        starts = np.sort(rng.integers(1, 50, 30)).tolist()
        trials = [
            trial(n, started=float(start), seconds=float(rng.integers(1, 9)))
            for n, start in enumerate(starts)
        ]
        lanes = timeline.packed(trials)
        for lane in set(lanes):
            own = [t for t, given in zip(trials, lanes, strict=True) if given == lane]
            assert all(a.started + a.seconds <= b.started for a, b in pairwise(own))
        most = max(
            sum(t.started <= moment < t.started + t.seconds for t in trials) for moment in starts
        )
        assert max(lanes) + 1 == most


def test_idle_time_is_what_the_trials_leave() -> None:
    trials = [
        trial(0, started=100.0, seconds=10.0), trial(1, started=100.0, seconds=4.0),
        trial(2, started=106.0, seconds=2.0),
    ]  # fmt: skip
    figure = one(timeline.blocks(with_trials(trials)))
    assert timeline.idle_share(trials, timeline.packed(trials)) == pytest.approx(1 - 16 / 20)
    assert "Of 2 lanes over 10.0 seconds, 20 % is idle" in figure.caption
    (bars,) = figure.data
    assert (bars["base"], bars["x"], bars["y"]) == ([0, 0, 6], [10, 4, 2], [1, 2, 2])


def test_pruned_trials_are_pale_and_failed_ones_red() -> None:
    trials = [trial(0), trial(1, state="pruned"), trial(2, None, state="failed")]
    complete, pruned, failed = one(timeline.blocks(with_trials(trials))).data
    assert complete["marker"]["color"] == pruned["marker"]["color"]
    assert complete["marker"]["opacity"] == 1 > pruned["marker"]["opacity"]
    assert failed["marker"] == {"color": timeline.FAILED}
    assert [t.get("showlegend", True) for t in (complete, pruned, failed)] == [True, False, True]


def test_running_trials_are_counted_and_not_drawn() -> None:
    trials = [trial(0), trial(1, None, state="running", seconds=0.0)]
    figure = one(timeline.blocks(with_trials(trials)))
    assert sum(len(trace["x"]) for trace in figure.data) == 1
    assert "they still run or never did: 1." in figure.caption
    assert timeline.blocks(with_trials(trials[1:])) == []


def test_pauses_of_pooled_folds_are_said_to_hold_their_confirmations() -> None:
    study = with_trials([trial(0)])
    pooled = replace(study, config={"folds": 5})
    assert "between the 5 folds" in one(timeline.blocks(pooled)).caption
    fold = replace(study, config={"folds": 5, "fold": 1})
    assert "folds" not in one(timeline.blocks(fold)).caption


def test_a_long_search_is_shown_in_minutes_or_hours() -> None:
    for span, unit in ((60.0, "seconds"), (1200.0, "minutes"), (20_000.0, "hours")):
        figure = one(timeline.blocks(with_trials([trial(0, seconds=span)])))
        assert figure.layout["xaxis"]["title"]["text"].startswith(unit)


# -------------------------------------------------------------------------------------- curves


def test_a_curve_is_the_mean_over_seeds_and_a_short_run_keeps_its_last_value() -> None:
    study = fake_study()
    own = [run for run in study.confirmations if run.arm == study.comparison.winner][:2]
    runs = (replace(own[0], curve=(0.1, 0.5)), replace(own[1], curve=(0.3, 0.4, 0.7, 0.8)))
    study = replace(study, confirmations=runs, trials=())
    trace = one(curves.blocks(study)).data[0]
    assert trace["x"] == [1, 2, 3, 4]
    assert trace["y"] == pytest.approx([0.2, 0.45, 0.6, 0.65])


@both
def test_before_anything_is_confirmed_the_curve_is_the_best_trials(maximise: bool) -> None:
    trials = [trial(0, 0.2, curve=(0.3, 0.2)), trial(1, 0.9, curve=(0.8, 0.9))]
    figure = one(curves.blocks(with_trials(trials, maximise)))
    assert figure.data[0]["y"] == ([0.8, 0.9] if maximise else [0.3, 0.2])
    assert ("Higher is better" if maximise else "Lower is better") in figure.caption


# ------------------------------------------------------------------------------ large, hostile


def test_hostile_names_are_inert_in_every_figure() -> None:
    params = [{HOSTILE: HOSTILE[:9] if n % 2 else "<b>", "n": n} for n in range(4)]
    trials = [trial(n, 0.1 * n, arm=HOSTILE, params=p, curve=(0.1, 0.2))
              for n, p in enumerate(params)]  # fmt: skip
    study = with_trials(trials)
    arms = [replace(study.arms[0], name=HOSTILE, importances={HOSTILE: 1.0})]
    figures = [b for b in rendered(replace(study, arms=arms)) if isinstance(b, Figure)]
    assert len(figures) == 5
    for figure in figures:
        drawn = json.dumps([list(figure.data), dict(figure.layout)])
        assert "<b>" not in drawn
        assert "</script>" not in drawn
        assert "&lt;b&gt;" in drawn


def test_a_thousand_trials_are_quick_and_lines_are_left_out_whole() -> None:
    rng = np.random.default_rng(0)
    names = [f"p{place}" for place in range(15)]
    trials = [
        trial(n, float(rng.random()), params=dict(zip(names, rng.random(15).tolist(), strict=True)))
        for n in range(1000)
    ]
    study = with_trials(trials)
    start = time.perf_counter()
    blocks = rendered(study)
    assert time.perf_counter() - start < 2
    figure = one(parallel.blocks(study))
    assert sum(len(trace["x"]) for trace in figure.data) <= 10_000
    assert "One trial in 2 is drawn" in figure.caption
    best = max(trials, key=lambda t: t.value or 0.0)
    assert f"trial {best.index + 1}: {best.value:.3f}" in figure.data[-2]["text"]
    for trace in figure.data[:-1]:
        assert trace["x"] == [*range(13), None] * (len(trace["x"]) // 14)
    assert "points about" not in render_block(figure, "p")  # the page thins nothing further
    assert all(render_block(block, f"b{place}") for place, block in enumerate(blocks))


def test_more_points_than_a_browser_draws_with_ease_are_thinned_by_the_page() -> None:
    trials = [trial(n, n / 20_001, params={}) for n in range(20_001)]
    figure = one(history.blocks(with_trials(trials)))
    assert figure.data[1]["y"][-1] == pytest.approx(20_000 / 20_001)
    assert "points about 10,000 are drawn" in render_block(figure, "h")
