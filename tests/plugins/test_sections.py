"""The built-in sections show what the study holds: each number is checked against brute force."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, replace

import pytest
from mmauto_sections import mmauto_sections
from mmauto_sections.brackets import times

from mmauto.answers.compare import compare, leaderboard_rows
from mmauto.blocks import Fold, unfolded
from mmauto.findings import Finding
from mmauto.plugin import Block, Code, Figure, Section, StudyView, Table, Text
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import Costs, Failure, Interval, Optimism, TrialView

SECTIONS = {section.name: section for section in mmauto_sections()}


def render(name: str, study: StudyView) -> list:
    return list(unfolded(SECTIONS[name].render(study)))


def texts(blocks: list) -> list[Text]:
    return [block for block in blocks if isinstance(block, Text)]


def only(kind: type, blocks: list):
    (found,) = (block for block in blocks if isinstance(block, kind))
    return found


def minimised() -> StudyView:
    """The fake study as if its metric were an error: the order of arms turns round."""
    study = fake_study(3)
    study = replace(study, task=replace(study.task, primary="stay_days", metric="mae"))
    found = study.comparison
    lines = [replace(s, rank=r) for r, s in enumerate(reversed(found.standings), start=1)]
    return replace(
        study,
        comparison=replace(
            found, metric="mae", maximise=False, standings=tuple(lines),
            winner=lines[0].arm.name, target="stay_days",
        ),
    )  # fmt: skip


def compared() -> StudyView:
    """The fake study as the real comparison sees it, with the luck of choosing measured."""
    study = fake_study(4)
    arms = {arm.name: Optimism(8, 0.9, 0.8) for arm in study.arms}
    found = compare(
        study.task, study.arms, study.trials, study.confirmations, study.truth, study.groups,
        ceiling=study.ceiling,
    )  # fmt: skip
    return replace(study, comparison=found, optimism=arms)


# ------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("section", SECTIONS.values(), ids=list(SECTIONS))
@pytest.mark.parametrize("study", [fake_study(1), empty_study(), minimised()], ids=str)
def test_every_block_is_plain_and_explained(section: Section, study: StudyView) -> None:
    for block in unfolded(section.render(study)):
        assert isinstance(block, Block)
        json.dumps(asdict(block), allow_nan=False)
        if isinstance(block, Figure):
            assert len(block.caption.split()) > 5
            assert block.alt.strip()
            assert block.data


def test_the_reader_meets_the_answer_first() -> None:
    ordered = sorted(SECTIONS.values(), key=lambda section: section.order)
    assert [section.name for section in ordered[:3]] == ["verdict", "gains", "leaderboard"]
    assert ordered[-1].name == "reproduce"
    assert len({section.order for section in ordered}) == len(ordered)


def test_figures_show_names_that_look_like_markup_as_they_are() -> None:
    study = fake_study()
    spec = replace(study.task.targets["diagnosis"], classes=("<5 & odd", "<b>x</b>", "c"))
    task = replace(study.task, targets={**study.task.targets, "diagnosis": spec})
    figure = only(Figure, render("confusion", replace(study, task=task)))
    assert figure.data[0]["x"][:2] == ["&lt;5 &amp; odd", "&lt;b&gt;x&lt;/b&gt;"]


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.14, "1.1"), (3.0, "3.0"), (9.96, "10"), (23.4, "23"), (1234, "1,200")]
)
def test_a_multiple_has_two_digits(ratio: float, text: str) -> None:
    assert times(ratio) == text


# ---------------------------------------------------------------------------------- verdict


def test_the_verdict_gives_every_sentence_in_order() -> None:
    study = fake_study()
    sentences = ("one", "two", "three", "four")
    study = replace(study, comparison=replace(study.comparison, verdict=sentences))
    blocks = render("verdict", study)
    assert [block.text for block in blocks[1:5]] == list(sentences)
    assert [block.style for block in blocks[1:5]] == ["lead", "lead", "", ""]


def test_the_verdict_calls_simulated_data_simulated() -> None:
    study = fake_study()
    assert "simulated" in render("verdict", study)[-1].text
    real = replace(study, task=replace(study.task, simulated=False))
    assert not any("simulated by" in block.text for block in texts(render("verdict", real)))


def with_first(study: StudyView, **changes) -> StudyView:
    """The study with another first line, that of the best fusion."""
    first, *rest = study.comparison.standings
    assert first.arm.kind == "fusion"
    lines = (replace(first, **changes), *rest)
    return replace(study, comparison=replace(study.comparison, standings=lines))


@pytest.mark.parametrize(
    ("gain", "p", "badge", "tone"),
    [
        (Interval(0.1, 0.05, 0.15), 0.001, "Fusion helps", "good"),
        (Interval(-0.1, -0.15, -0.05), 0.001, "Fusion does not help", "bad"),
        (Interval(0.1, -0.05, 0.15), 0.2, "Cannot decide whether fusion helps", "open"),
        (Interval(0.1, 0.05, 0.15), 0.2, "Cannot decide whether fusion helps", "open"),
    ],
)
def test_the_badge_claims_what_interval_and_test_allow(gain, p, badge, tone) -> None:
    headline = render("verdict", with_first(fake_study(), difference=gain, p=p))[0]
    assert (headline.badge, headline.tone) == (badge, tone)


def test_three_numbers_say_how_good_how_much_better_and_how_dear() -> None:
    study = with_first(
        fake_study(), test=Interval(0.8, 0.7, 0.9), difference=Interval(-0.02, -0.05, 0.01), p=0.25,
        costs=Costs(6.0),
    )  # fmt: skip
    score, gain, cost = render("verdict", study)[0].numbers
    assert (score.value, score.note) == ("0.800", "95 % interval 0.700 to 0.900")
    assert study.comparison.winner in score.label
    assert (gain.value, gain.note) == ("−0.020", "95 % interval −0.050 to +0.010, p = 0.250")
    reference = next(
        s for s in study.comparison.standings if s.arm.name == study.comparison.reference
    )
    assert cost.value == f"× {6.0 / reference.costs.train_seconds:.1f}"


@pytest.mark.parametrize(
    ("ours", "theirs", "value", "note"),
    [
        (0.1, 0.02, "< 1 s", "both, a run"),
        (4.1, 4.0, "about the same", "4.1 against 4 seconds a run"),
        (4.56, 4.0, "× 1.1", "4.56 against 4 seconds a run"),
        (1234.0, 10.0, "× 120", "1,234 against 10 seconds a run"),
    ],
)
def test_times_are_compared_no_finer_than_they_mean(ours, theirs, value, note) -> None:
    study = with_first(fake_study(), difference=Interval(0.0, -0.1, 0.1), costs=Costs(ours))
    found = study.comparison
    lines = [
        replace(s, costs=Costs(theirs)) if s.arm.name == found.reference else s
        for s in found.standings
    ]
    study = replace(study, comparison=replace(found, standings=tuple(lines)))
    cost = render("verdict", study)[0].numbers[2]
    assert (cost.value, cost.note) == (value, note)


def test_a_tiny_p_value_is_never_shown_as_zero() -> None:
    study = with_first(fake_study(), p=0.0001)
    assert render("verdict", study)[0].numbers[1].note.endswith("p < 0.001")


def test_without_a_fusion_the_card_claims_nothing_about_it() -> None:
    study = fake_study()
    lines = tuple(s for s in study.comparison.standings if s.arm.kind != "fusion")
    found = replace(study.comparison, standings=lines, winner=lines[0].arm.name)
    headline = render("verdict", replace(study, comparison=found))[0]
    assert headline.badge == "Fusion was not compared"
    assert len(headline.numbers) == 1


def test_without_results_there_is_no_card() -> None:
    assert texts(render("verdict", empty_study())) == render("verdict", empty_study())


# ------------------------------------------------------------------------------ leaderboard


@pytest.mark.parametrize("study", [fake_study(2), minimised()], ids=["maximised", "minimised"])
def test_the_leaderboard_shows_the_rows_that_every_other_door_gives(study: StudyView) -> None:
    scores, costs = render("leaderboard", study)
    rows = leaderboard_rows(study.comparison)
    assert len(scores.rows) == len(costs.rows) == len(rows)
    for quality, price, row in zip(scores.rows, costs.rows, rows, strict=True):
        shown = dict(zip([*scores.columns, *costs.columns], [*quality, *price], strict=True))
        assert quality[0] == price[0]
        assert str(shown["arm"]).removesuffix(" ★") == row["arm"]
        assert shown["validation"] == row["validation"]
        assert shown["test"] == row["test"]
        assert shown["95 % interval"] == f"{row['test_low']:.3f} to {row['test_high']:.3f}"
        assert shown["gain"] == row["difference"]
        if row["difference"] is not None:
            ends = f"{row['difference_low']:.3f} to {row['difference_high']:.3f}"
            assert shown["95 % interval of the gain"] == ends
        assert shown["train, s"] == (row["train_seconds"] or None)
        assert shown["trained parameters"] == (row["parameters"] or None)
        assert shown["frozen"] == (row["frozen_parameters"] or None)
        assert shown["latency of 1, ms"] == (row["latency_1_ms"] or None)
        assert shown["of 64, ms"] == (row["latency_64_ms"] or None)
        assert shown["trials"] == row["trials"]
        assert shown["failed"] == row["failed"]


def test_the_star_is_the_winners_and_the_reference_says_so() -> None:
    study = fake_study()
    for table in render("leaderboard", study):
        starred = [str(row[0]) for row in table.rows if "★" in str(row[0])]
        assert starred == [f"{study.comparison.winner} ★"]
    scores, _ = render("leaderboard", study)
    assert [row[0] for row in scores.rows if "reference" in row] == [study.comparison.reference]
    assert f"The gain is that over {study.comparison.reference}" in scores.caption


def test_without_a_gain_only_the_reference_is_called_so() -> None:
    study = fake_study()
    lines = tuple(replace(line, difference=None) for line in study.comparison.standings)
    study = replace(study, comparison=replace(study.comparison, standings=lines, reference=None))
    scores, _ = render("leaderboard", study)
    assert {cell for row in scores.rows for cell in row[-4:]} == {None}
    assert "gain" not in scores.caption


def test_the_leaderboard_has_p_values_the_ensemble_and_the_luck_of_choosing() -> None:
    study = compared()
    scores, costs = render("leaderboard", study)
    found = study.comparison
    assert found.ensemble is not None
    assert scores.rows[-1][0] == costs.rows[-1][0] == "ensemble"
    assert "ensemble" in scores.caption
    by_arm = {str(row[0]).removesuffix(" ★"): dict(zip(scores.columns, row, strict=True))
              for row in scores.rows}  # fmt: skip
    for line in found.standings:
        shown = by_arm[line.arm.name]
        assert shown["p"] == (None if math.isnan(line.p) else line.p)
        assert shown["p (Holm)"] == (None if math.isnan(line.p_holm) else line.p_holm)
        assert (shown["best trial"], shown["corrected"]) == (0.9, 0.8)
    assert by_arm["ensemble"]["best trial"] is None
    assert "best trial" not in render("leaderboard", fake_study())[0].columns


def test_the_leaderboard_says_which_way_is_better() -> None:
    assert "higher is better" in render("leaderboard", fake_study())[0].caption
    assert "lower is better" in render("leaderboard", minimised())[0].caption


def test_a_cost_that_does_not_apply_is_a_dash() -> None:
    study = fake_study()
    line = replace(study.comparison.standings[0], costs=Costs())
    study = replace(study, comparison=replace(study.comparison, standings=(line,)))
    assert render("leaderboard", study)[1].rows[0][1:7] == [None] * 6


# ------------------------------------------------------------------------------- strategies


def test_scores_and_gains_are_those_of_the_comparison() -> None:
    study = fake_study()
    found = study.comparison
    (scores,), (gains,) = render("strategies", study), render("gains", study)
    drawn = {
        (name, x) for trace in scores.data for name, x in zip(trace["y"], trace["x"], strict=True)
    }
    assert drawn == {(line.arm.name, line.test.value) for line in found.standings}
    drawn = {
        (name, x) for trace in gains.data for name, x in zip(trace["y"], trace["x"], strict=True)
    }
    assert drawn == {(s.arm.name, s.difference.value) for s in found.standings if s.difference}
    assert found.reference not in {name for name, _ in drawn}


def test_bars_end_where_the_intervals_end() -> None:
    study = fake_study()
    ends = {line.arm.name: (line.test.low, line.test.high) for line in study.comparison.standings}
    for trace in render("strategies", study)[0].data:
        bar = trace["error_x"]
        for name, x, up, down in zip(
            trace["y"], trace["x"], bar["array"], bar["arrayminus"], strict=True
        ):
            assert (x - down, x + up) == pytest.approx(ends[name])


def test_the_best_arm_on_validation_stands_on_top() -> None:
    study = minimised()
    names = render("strategies", study)[0].layout["yaxis"]["categoryarray"]
    assert names[-1] == study.comparison.winner  # plotly draws categories from the bottom


def test_the_ceiling_is_drawn_where_it_is_known() -> None:
    study = fake_study()
    assert render("strategies", study)[0].layout["shapes"][0]["x0"] == study.ceiling["all"]
    assert "shapes" not in render("strategies", replace(study, ceiling={}))[0].layout


@pytest.mark.parametrize("study", [fake_study(), minimised()], ids=["maximised", "minimised"])
def test_the_gain_that_is_left_ends_at_the_ceiling(study: StudyView) -> None:
    found = study.comparison
    reference = next(s for s in found.standings if s.arm.name == found.reference)
    room = study.ceiling["all"] - reference.test.value
    zero, ceiling = render("gains", study)[0].layout["shapes"]
    assert zero["x0"] == 0
    assert ceiling["x0"] == pytest.approx(room if found.maximise else -room)
    assert len(render("gains", replace(study, ceiling={}))[0].layout["shapes"]) == 1


def test_p_values_stand_beside_their_arms() -> None:
    study = compared()
    (figure,) = render("gains", study)
    beside = {n["y"]: n["text"] for n in figure.layout["annotations"] if n.get("xref") == "paper"}
    tested = {s.arm.name: s for s in study.comparison.standings if not math.isnan(s.p)}
    assert beside.keys() == tested.keys()
    majority = tested["majority"]
    assert beside["majority"] == ("p &lt; 0.001" if majority.p < 0.001 else f"p {majority.p:.3f}")
    assert " / " in beside["concat_mlp"]
    assert "Holm" in figure.caption


def test_without_a_reference_there_are_scores_and_no_gains() -> None:
    study = fake_study()
    lines = tuple(replace(line, difference=None) for line in study.comparison.standings)
    study = replace(study, comparison=replace(study.comparison, standings=lines, reference=None))
    assert len(render("strategies", study)) == 1
    assert "nothing to hold the arms against" in only(Text, render("gains", study)).text


# ---------------------------------------------------------------------------------- failures


def test_every_failure_is_counted_once() -> None:
    study = fake_study()
    table = only(Table, render("failures", study))
    failed = [trial for trial in study.trials if trial.failure]
    assert sum(row[2] for row in table.rows) == len(failed) > 0
    assert {row[-1] for row in table.rows} == {trial.failure.message for trial in failed}


def test_the_same_failure_is_one_line_and_the_most_frequent_comes_first() -> None:
    study = fake_study()
    name = study.arms[0].name
    kinds = [Failure("nan", "rare"), Failure("oom", "often"), Failure("oom", "often")]
    trials = [
        TrialView(
            i, name, 0, i, "failed", {}, seconds=1.25 * i, failure=failure,
            costs=Costs(peak_memory=i << 30),
        )
        for i, failure in enumerate(kinds)
    ]  # fmt: skip
    costs = Costs(1234.56, peak_memory=300 << 20)
    run = replace(study.confirmations[0], failure=Failure("disk", "full"), costs=costs)
    table = only(
        Table, render("failures", replace(study, trials=trials, confirmations=[run]))
    )  # fmt: skip
    assert list(table.rows) == [
        [name, "oom", 2, "2,048 MB", "2.5", "often"],
        [name, "nan", 1, "unknown", "0.0", "rare"],
        [f"{run.arm} (confirmation)", "disk", 1, "300 MB", "1,234.6", "full"],
    ]


def test_the_command_that_shows_where_trials_broke() -> None:
    study = replace(fake_study(), name="my study")
    assert only(Code, render("failures", study)).text == "mmauto trials 'my study' --failed"


def test_failures_are_summed_up_in_words() -> None:
    study = fake_study()
    trials = [replace(t, failure=None) for t in study.trials]
    trials[:2] = [replace(t, failure=Failure("oom", "x")) for t in trials[:2]]
    run = replace(study.confirmations[0], failure=Failure("nan", "y"), test={}, value=None)
    study = replace(study, trials=trials, confirmations=[run])
    assert only(Text, render("failures", study)).text == (
        "3 runs of 1 arm failed: out of memory in 2, numbers that are not finite in 1."
    )


def test_many_failures_are_folded_away() -> None:
    study = fake_study()
    failed = [replace(study.trials[0], failure=Failure("data", f"row {n}")) for n in range(13)]
    study = replace(study, trials=failed, confirmations=[])
    _, fold, _ = SECTIONS["failures"].render(study)
    assert isinstance(fold, Fold)
    assert fold.title == "Every message (13 rows)"
    assert len(only(Table, render("failures", study)).rows) == 13


def test_no_failure_is_said_in_words() -> None:
    assert only(Text, render("failures", empty_study())).text == "No trial failed."


# ------------------------------------------------------------------------- data and reproduce


def test_the_data_section_counts_classes_and_repeats_each_note() -> None:
    study = fake_study()
    tables = [block for block in render("data", study) if isinstance(block, Table)]
    assert dict(tables[0].rows) == study.rows
    for place, (name, valid, test) in enumerate(tables[1].rows):
        assert name == study.task.targets["diagnosis"].classes[place]
        assert valid == sum(study.truth["valid"]["diagnosis"] == place)
        assert test == sum(study.truth["test"]["diagnosis"] == place)
    assert dict(tables[2].rows) == study.ceiling
    warned = [b.text for b in texts(render("data", study)) if b.style == "warning"]
    assert warned == [f"Warning: {f}" for f in study.findings if f.warning]
    assert list(tables[3].rows) == [
        (f.kind, f.text, f.action) for f in study.findings if not f.warning
    ]


def test_train_rows_of_each_class_are_counted_where_they_are_known() -> None:
    study = replace(fake_study(), learned={"diagnosis": [120, 50, 70]})
    table = next(b for b in render("data", study) if getattr(b, "columns", [""])[0] == "diagnosis")
    assert table.columns == ("diagnosis", "train", "valid", "test")
    assert [row[1] for row in table.rows] == [120, 50, 70]


def test_pooled_folds_count_each_row_once() -> None:
    study = replace(
        fake_study(), learned={"diagnosis": [1, 1, 1]}, rows={"tested once": 120}
    )  # fmt: skip
    table = next(b for b in render("data", study) if getattr(b, "columns", [""])[0] == "diagnosis")
    assert table.columns == ("diagnosis", "tested once")
    assert sum(row[1] for row in table.rows) == 120


def test_what_one_fold_s_rows_can_tell_is_not_said_of_all_folds() -> None:
    power = Finding("power", "84 test rows can tell large differences only")
    study = replace(fake_study(), config={"folds": 5}, findings=[power, *fake_study().findings])
    said = [str(row) for b in render("data", study) if isinstance(b, Table) for row in b.rows]
    assert not any("84 test rows" in row for row in said)
    fold = replace(study, config={"folds": 5, "fold": 1})
    said = [str(row) for b in render("data", fold) if isinstance(b, Table) for row in b.rows]
    assert any("84 test rows" in row for row in said)


def test_a_command_to_copy_comes_first_and_the_configuration_is_toml() -> None:
    config = {
        "lr": 0.00123, "note": 'it\'s "so"', "fusions": ["a"], "fast": True,
        "space": {"train/optimiser": "adamw", "fusion/concat_mlp/width": {"low": 8, "high": 64}},
    }  # fmt: skip
    environment = {"seconds": 12.3456, "versions": {"torch": "2"}, "created": 1.0, "gpu": None}
    command, settings, versions, machine = (
        block.text
        for block in render("reproduce", fake_study(config=config, environment=environment))
    )
    assert command == fake_study().command
    assert tomllib.loads(settings) == config
    assert versions == 'torch = "2"'
    assert machine == "seconds = 12.3"


def test_a_study_of_folds_says_where_its_models_are_looked_at() -> None:
    folded = replace(fake_study(), config={"folds": 5}, probes=None)
    said = [block.text for block in render("relies", folded) if isinstance(block, Text)]
    assert any("mmauto report fake/folds/1" in text for text in said)
    assert not any("folds/1" in str(block) for block in render("relies", fake_study()))
