"""The verdict never says more than the intervals do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import pytest

from mmauto.answers.verdict import DEARER, FEW_ROWS, verdict
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmKind, ArmView, Averaged, Comparison, Costs, Interval, Standing

SPEC = TargetSpec("organ", "multiclass", ("heart", "lung", "liver"))
SCORE = Interval(0.7, 0.6, 0.8)
ABOVE, BELOW, ACROSS = (
    Interval(0.05, 0.01, 0.09),
    Interval(-0.05, -0.09, -0.01),
    Interval(0.02, -0.01, 0.05),
)


def line(
    name: str,
    kind: ArmKind,
    difference: Interval | None = None,
    test: Interval = SCORE,
    seconds: float = 1.0,
    seeds: int = 5,
    p: float | None = None,
) -> Standing:
    clear = difference is not None and (difference.low > 0 or difference.high < 0)
    return Standing(
        arm=ArmView(name, kind, name, "early", f"summary of {name}"),
        rank=1,
        validation=0.7,
        test=test,
        difference=difference,
        metrics={},
        costs=Costs(train_seconds=seconds),
        seeds=seeds,
        trials=10,
        failed=0,
        p=(0.004 if clear else 0.3) if p is None else p,
    )


def against(gain: Interval | None, seconds: float = 1.0) -> list[Standing]:
    """A fusion, chosen on validation, and the single modality that it is held against."""
    return [line("mix", "fusion", gain, seconds=seconds), line("text", "single")]


def words(
    standings: Sequence[Standing],
    *,
    maximise: bool = True,
    simulated: bool = False,
    ceiling: Mapping[str, float] | None = None,
    over_control: Interval | None = None,
    missing: Sequence[str] = (),
    rows: int = 500,
    ensemble: Averaged | None = None,
) -> tuple[str, ...]:
    """The verdict on these lines, best validation first."""
    metric = "balanced_accuracy" if maximise else "rmse"
    reference = next((one.arm.name for one in standings if one.arm.kind == "single"), None)
    found = Comparison(
        metric=metric,
        target="organ",
        maximise=maximise,
        standings=tuple(standings),
        winner=standings[0].arm.name if standings else None,
        reference=reference,
        verdict=(),
        ensemble=ensemble,
    )
    task = TaskView("scans", {"image": "image"}, {"organ": SPEC}, "organ", metric, simulated)
    return verdict(found, task, ceiling or {}, over_control, missing, rows)


def about_fusion(sentences: Sequence[str]) -> list[str]:
    return [one for one in sentences if "usion" in one]


# ------------------------------------------------------------------------------ the winner


def test_the_first_sentence_says_what_was_chosen_how_and_how_sure() -> None:
    assert words(against(ABOVE))[0] == (
        "mix was chosen on validation; on 500 test rows its balanced accuracy for organ is "
        "0.700 [0.600, 0.800] over 5 seeds."
    )


def test_one_seed_is_one_seed() -> None:
    assert words([line("text", "single", seeds=1)])[0].endswith("over 1 seed.")


def test_simulated_data_is_called_simulated_and_other_data_is_not() -> None:
    assert "on 500 test rows of simulated data" in words(against(ABOVE), simulated=True)[0]
    assert not any("simulated" in one for one in words(against(ABOVE)))


def test_nothing_confirmed_is_all_that_is_said() -> None:
    assert words([], rows=5, missing=["mix"], ceiling={"all": 0.9}) == (
        "Nothing is confirmed yet, so there is nothing to compare.",
    )


# -------------------------------------------------------------------------- does fusion help?


def test_fusion_helps_where_the_whole_interval_is_above_zero() -> None:
    assert about_fusion(words(against(ABOVE))) == [
        "Fusion helps here: mix beats summary of text (text), the best single modality on "
        "validation, by +0.050 [+0.010, +0.090] in balanced accuracy (p = 0.004)."
    ]


def test_fusion_does_not_help_where_the_whole_interval_is_below_zero() -> None:
    assert about_fusion(words(against(BELOW))) == [
        "Fusion does not help here: mix is worse than summary of text (text), the best single "
        "modality on validation, by -0.050 [-0.090, -0.010] in balanced accuracy (p = 0.004)."
    ]


@pytest.mark.parametrize(
    "gain", [ACROSS, Interval(0.1, 0.0, 0.2), Interval(-0.1, -0.2, 0.0), Interval(0.0, 0.0, 0.0)]
)
def test_an_interval_that_includes_zero_decides_nothing(gain: Interval) -> None:
    (sentence,) = about_fusion(words(against(gain)))

    assert sentence.startswith("This data cannot decide whether fusion helps: mix differs from")
    assert sentence.endswith("(p = 0.300), which chance alone can bring about.")


def test_both_the_interval_and_the_swaps_must_say_so() -> None:
    for p in (0.05, 0.2, math.nan):
        standings = [line("mix", "fusion", ABOVE, p=p), line("text", "single")]
        (sentence,) = about_fusion(words(standings))
        assert sentence.startswith("This data cannot decide")
    (sentence,) = about_fusion(words([line("mix", "fusion", ACROSS, p=0.01), line("t", "single")]))
    assert sentence.startswith("This data cannot decide")


def test_an_undecided_question_says_how_many_rows_would_decide_it() -> None:
    found = words(against(ACROSS), rows=500)

    # a standard error of 0.0153; 2.8 of them are 0.043, and 500 * (0.043 / 0.02) ** 2 is 2,296
    assert (
        "On 500 test rows, gains from about 0.043 on would be found four times out of five; one of "
        "0.020, as seen here, would need about 2,300." in found
    )
    assert not any("would be found" in one for one in words(against(ABOVE)))


def averaged(gain: Interval) -> Averaged:
    return Averaged({"mix": 0.75, "text": 0.25}, line("ensemble", "ensemble"), gain)


def test_an_average_is_worth_a_sentence_only_where_it_is_clearly_better() -> None:
    said = words(against(ABOVE), ensemble=averaged(ABOVE))
    assert (
        "Averaging several arms (75% mix, 25% text) beats mix, by +0.050 [+0.010, +0.090] in "
        "balanced accuracy; it needs all of their models." in said
    )
    for gain in (ACROSS, BELOW):
        assert not any("Averaging" in one for one in words(against(ABOVE), ensemble=averaged(gain)))


def test_an_undefined_difference_decides_nothing() -> None:
    (sentence,) = about_fusion(words(against(Interval(math.nan, math.nan, math.nan))))

    assert sentence.startswith(
        "Whether fusion helps cannot be told: balanced accuracy is not defined"
    )


def test_a_lower_error_helps_too() -> None:
    # differences are signed so that positive is better, whatever the metric
    (sentence,) = about_fusion(words(against(ABOVE), maximise=False))

    assert sentence.startswith("Fusion helps here")
    assert sentence.endswith("in root mean squared error (p = 0.004).")


def test_the_fusion_that_is_best_on_validation_speaks_for_fusion() -> None:
    standings = [
        line("text", "single"), line("mix", "fusion", ACROSS), line("blend", "fusion", ABOVE)
    ]  # fmt: skip

    (sentence,) = about_fusion(words(standings))

    assert "mix differs from" in sentence


@pytest.mark.parametrize(
    "standings",
    [
        [line("text", "single"), line("image", "single", BELOW)],
        [line("text", "single"), line("boosting", "control", BELOW)],
        [line("mix", "fusion"), line("boosting", "control")],
        against(None),
    ],
    ids=["singles only", "no fusion", "no single", "no common seed"],
)
def test_without_both_sides_nothing_is_said_of_fusion(standings: list[Standing]) -> None:
    assert about_fusion(words(standings)) == []


# ------------------------------------------------------------------------------ cost, control


def test_a_dear_fusion_is_called_dear() -> None:
    assert (
        "It trains 3.0 times as long (3.0 against 1.0 seconds a run, encoding left out)."
        in words(against(ABOVE, seconds=3.0))
    )


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, DEARER - 0.01])
def test_a_fusion_of_about_the_same_cost_is_not(seconds: float) -> None:
    assert not any("trains" in one for one in words(against(ABOVE, seconds=seconds)))


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (
            ABOVE,
            "mix beats boosting, the best control, by +0.050 [+0.010, +0.090] in balanced "
            "accuracy.",
        ),
        (
            BELOW,
            "mix is worse than boosting, the best control, by -0.050 [-0.090, -0.010] in balanced "
            "accuracy.",
        ),
        (
            ACROSS,
            "This data cannot tell mix from boosting, the best control: the difference is +0.020 "
            "[-0.010, +0.050] in balanced accuracy.",
        ),
    ],
)
def test_the_best_control_is_held_against_the_best_fusion(gain: Interval, said: str) -> None:
    standings = [*against(ABOVE), line("boosting", "control"), line("majority", "control")]

    found = [one for one in words(standings, over_control=gain) if "control" in one]

    assert found == [said]


def test_an_undefined_gain_over_the_control_decides_nothing() -> None:
    standings = [*against(ABOVE), line("boosting", "control")]
    nothing = Interval(math.nan, math.nan, math.nan)

    assert any("cannot tell mix from" in one for one in words(standings, over_control=nothing))


def test_a_control_without_a_common_seed_is_not_spoken_of() -> None:
    standings = [*against(ABOVE), line("boosting", "control")]

    assert not any("boosting" in one for one in words(standings))


# --------------------------------------------------------------- ceiling, size, what is missing


def test_a_winner_among_few_is_said_to_be_so() -> None:
    failed = [f"arm{n}" for n in range(10)]
    said = words(against(ABOVE), missing=failed)
    assert said[1] == (
        "It is the best of 2 arms only: 10 others have no confirmed result, and may be better or "
        "worse."
    )
    assert said[-1].endswith(f"not ranked: {', '.join(failed[:8])} and 2 more.")
    assert not any("best of" in text for text in words(against(ABOVE), missing=failed[:2]))


def test_the_ideal_observer_of_everything_is_the_ceiling() -> None:
    found = words(against(ABOVE), ceiling={"image": 0.6, "all": 0.912})

    assert sum("ideal observer" in one for one in found) == 1
    assert any("reaches 0.912 on these rows" in one for one in found)
    assert not any("ideal observer" in one for one in words(against(ABOVE)))


def test_few_rows_are_said_to_be_few() -> None:
    few, enough = words(against(ABOVE), rows=FEW_ROWS - 1), words(against(ABOVE), rows=FEW_ROWS)

    assert any(one.startswith("With 99 test rows only large differences") for one in few)
    assert not any("large differences" in one for one in enough)


def test_arms_without_a_result_are_named() -> None:
    assert words(against(ABOVE), missing=["late", "gated"])[-1] == (
        "Without a confirmed result, and so not ranked: late, gated."
    )


def test_test_scores_are_never_what_is_best() -> None:
    for gain, maximise, simulated, rows in itertools.product(
        (ABOVE, BELOW, ACROSS, None), (True, False), (True, False), (50, 500)
    ):
        standings = [*against(gain, seconds=9.0), line("boosting", "control")]
        text = " ".join(
            words(
                standings, maximise=maximise, simulated=simulated, rows=rows,
                ceiling={"all": 0.9}, over_control=gain, missing=["late"],
            )
        ).lower()  # fmt: skip
        assert "best test" not in text
        assert "best on test" not in text
        assert "chosen on validation" in text
