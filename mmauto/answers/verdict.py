"""The comparison in words; no sentence claims more than its interval allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mmauto.engine.metrics import METRICS
from mmauto.values import TaskView
from mmauto.views import Comparison, Interval, Standing

FEW_ROWS = 100
"""Test rows below which most differences between strategies drown in chance."""

FEW_SEEDS = 3
"""Confirmation seeds below which the spread between training runs is hardly seen."""

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
    fusion = next((line for line in found.standings if line.arm.kind == "fusion"), None)
    reference = lines.get(found.reference or "")
    if fusion is not None and reference is not None:
        yield from _does_fusion_help(fusion, reference, label)
        yield from _cost(fusion, reference)
    control = next((line for line in found.standings if line.arm.kind == "control"), None)
    if fusion is not None and control is not None and over_control is not None:
        yield _against_control(fusion, control, over_control, label)
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
        yield f"Without a confirmed result, and so not ranked: {', '.join(missing)}."


def _does_fusion_help(fusion: Standing, reference: Standing, label: str) -> Iterator[str]:
    gain = fusion.difference
    if gain is None:
        return
    against = f"{reference.arm.summary} ({reference.arm.name}), the best single modality"
    size = f"by {_signed(gain)} in {label}"
    if gain.low > 0:
        yield f"Fusion helps here: {fusion.arm.name} beats {against}, {size}."
    elif gain.high < 0:
        yield f"Fusion does not help here: {fusion.arm.name} is worse than {against}, {size}."
    else:
        yield (
            f"This data cannot decide whether fusion helps: {fusion.arm.name} differs from "
            f"{against}, {size}, and the interval includes no difference."
        )


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
