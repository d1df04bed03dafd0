"""The comparison in words; no sentence claims more than its interval allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from mmauto.answers.contender import made_of
from mmauto.answers.needed import detectable, rows_needed
from mmauto.engine.metrics import METRICS
from mmauto.values import TaskView
from mmauto.views import Averaged, Comparison, Interval, Standing

FEW_ROWS = 100
"""Test rows below which most differences between strategies drown in chance."""

FEW_SEEDS = 3
"""Confirmation seeds below which the spread between training runs is hardly seen."""

LEVEL = 0.05
"""Of the permutation test."""

NAMED = 8
"""Arms without a result that are named; the others are counted."""

DEARER = 1.5
"""Times the training time of the reference from which a cost is worth a sentence."""


def verdict(
    found: Comparison,
    task: TaskView,
    ceiling: Mapping[str, float],
    over_control: Interval | None,
    missing: Sequence[str],
    test_rows: int,
) -> tuple[str, ...]:
    """Sentences, the most important first.

    Args:
        ceiling: observer -> metric of the ideal observer on the test rows, for simulated data.
        over_control: paired gain of the fusion over the control, each best on validation; None
            where they have no seed in common, or one of them is not there.
        missing: arms without a confirmed result.
        test_rows: rows in the test split whose primary label is known.
    """
    return tuple(_sentences(found, task, ceiling, over_control, missing, test_rows))


def _sentences(
    found: Comparison,
    task: TaskView,
    ceiling: Mapping[str, float],
    over_control: Interval | None,
    missing: Sequence[str],
    test_rows: int,
) -> Iterator[str]:
    lines = {line.arm.name: line for line in found.standings}
    if found.winner is None:
        yield "Nothing is confirmed yet, so there is nothing to compare."
        return
    winner = lines[found.winner]
    label = METRICS[found.metric].label
    data = " of simulated data" if task.simulated else ""
    yield (
        f"{winner.arm.name} was chosen on validation; on {test_rows} test rows{data} its {label} "
        f"for {found.target} is {_with_interval(winner.test)} over {_count(winner.seeds, 'seed')}."
    )
    if len(missing) > len(lines):
        yield (
            f"It is the best of {_count(len(lines), 'arm')} only: {len(missing)} others have no "
            "confirmed result, and may be better or worse."
        )
    fusion = next((line for line in found.standings if line.arm.kind == "fusion"), None)
    reference = lines.get(found.reference or "")
    if fusion is not None and reference is not None:
        yield from _does_fusion_help(fusion, reference, label, test_rows)
        yield from _cost(fusion, reference)
    control = next((line for line in found.standings if line.arm.kind == "control"), None)
    if fusion is not None and control is not None and over_control is not None:
        yield _against_control(fusion, control, over_control, label)
    if found.ensemble is not None:
        yield from _averaging(found.ensemble, winner, label)
    if "all" in ceiling:
        yield (
            f"The ideal observer of all modalities reaches {ceiling['all']:.3f} on these rows; no "
            "model can do better in expectation."
        )
    if winner.seeds < FEW_SEEDS:
        yield (
            f"The intervals rest on {_count(winner.seeds, 'seed')}, so they hardly count the "
            "chance of training; confirm over more seeds before relying on them."
        )
    if test_rows < FEW_ROWS:
        yield (
            f"With {test_rows} test rows only large differences can be told from chance; more rows "
            "are needed to rank strategies that are close."
        )
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        yield f"Without a confirmed result, and so not ranked: {', '.join(missing[:NAMED])}{more}."


def helps(fusion: Standing) -> bool | None:
    """Whether the fusion beats the reference; None where the data cannot decide.

    Both must say so: the interval, which counts the chance of training, and the permutation test,
    which is exact however few rows there are. One comparison was planned, that of the fusion and
    the single modality that are best on validation, so its p value needs no correction.
    """
    gain = fusion.difference
    if gain is None or not fusion.p < LEVEL or gain.low <= 0 <= gain.high:
        return None
    return gain.low > 0


def _does_fusion_help(
    fusion: Standing, reference: Standing, label: str, rows: int
) -> Iterator[str]:
    gain = fusion.difference
    if gain is None:
        return
    if math.isnan(gain.value):
        yield f"Whether fusion helps cannot be told: {label} is not defined on the test rows."
        return
    against = (
        f"{reference.arm.summary} ({reference.arm.name}), the best single modality on validation"
    )
    size = f"by {_signed(gain)} in {label}{_chance(fusion.p)}"
    decided = helps(fusion)
    if decided:
        yield f"Fusion helps here: {fusion.arm.name} beats {against}, {size}."
    elif decided is False:
        yield f"Fusion does not help here: {fusion.arm.name} is worse than {against}, {size}."
    else:
        yield (
            f"This data cannot decide whether fusion helps: {fusion.arm.name} differs from "
            f"{against}, {size}{_doubt(fusion)}."
        )
        yield _how_many_rows(gain, rows)


def _doubt(fusion: Standing) -> str:
    """Why it stays undecided, also where one of interval and test would decide."""
    gain = fusion.difference
    if fusion.p < LEVEL:
        return (
            "; swapped rows alone would hardly give as much, but the interval, which counts the "
            "luck of training, too, holds zero"
        )
    if gain is not None and (gain.low > 0 or gain.high < 0):
        return "; the interval leaves out zero, but swapped rows give as much too often"
    return ", which chance alone can bring about"


def _how_many_rows(gain: Interval, rows: int) -> str:
    seen = (
        f"On {rows} test rows, gains from about {detectable(gain):.3f} on would be found four "
        "times out of five"
    )
    needed = rows_needed(gain, rows)
    if needed is None or needed == rows:
        return f"{seen}."
    return f"{seen}; one of {abs(gain.value):.3f}, as seen here, would need about {needed:,}."


def _averaging(found: Averaged, winner: Standing, label: str) -> Iterator[str]:
    """Only where it is clear: an average is more trouble to use than one model."""
    if found.over_winner.low > 0:
        yield (
            f"Averaging several arms ({made_of(found.weights)}) beats {winner.arm.name}, by "
            f"{_signed(found.over_winner)} in {label}; it needs all of their models."
        )


def _chance(p: float) -> str:
    """A p value as a clause; nothing where there is none."""
    if math.isnan(p):
        return ""
    return " (p < 0.001)" if p < 0.001 else f" (p = {p:.3f})"


def _cost(fusion: Standing, reference: Standing) -> Iterator[str]:
    ours, theirs = fusion.costs.train_seconds, reference.costs.train_seconds
    # fractions of a second are noise
    if theirs > 0 and ours / theirs >= DEARER and ours - theirs >= 1.0:
        yield (
            f"It trains {ours / theirs:.1f} times as long ({ours:.1f} against {theirs:.1f} seconds "
            "a run, encoding left out)."
        )


def _against_control(fusion: Standing, control: Standing, gain: Interval, label: str) -> str:
    best = f"{control.arm.name}, the best control"
    size = f"{_signed(gain)} in {label}"
    if gain.low > 0:
        return f"{fusion.arm.name} beats {best}, by {size}."
    if gain.high < 0:
        return f"{fusion.arm.name} is worse than {best}, by {size}."
    return f"This data cannot tell {fusion.arm.name} from {best}: the difference is {size}."


def _with_interval(found: Interval) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
