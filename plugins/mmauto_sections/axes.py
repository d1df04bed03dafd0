"""A parameter as an upright from 0 to 1: where each trial crosses it, and what its marks say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ABSENT = -0.1
"""The height of trials to which the parameter does not apply."""

FEW = 6
"""Whole numbers with so many values at most are spaced evenly, like choices."""

WIDE = 10
"""Largest by smallest number from which a scale may be logarithmic."""

MOST_MARKS = 12
LONGEST = 16

Given = bool | int | float | str | None


@dataclass(frozen=True)
class Axis:
    """One upright.

    Attributes:
        heights: of each trial, in the order of its values.
        marks: heights and what stands there.
    """

    name: str
    heights: tuple[float, ...]
    marks: tuple[tuple[float, str], ...]


def upright(name: str, values: Sequence[Given]) -> Axis:
    """Numbers on a linear or logarithmic scale, anything else evenly spaced.

    Args:
        values: one a trial, not all None; None where the parameter does not apply.
    """
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if not isinstance(value, bool | str)]
    few = all(isinstance(value, int) for value in known) and len(set(numbers)) <= FEW
    if few or len(numbers) < len(known):
        places, marks = _choices(known)
    elif _logarithmic(numbers):
        places = [math.log(number) for number in numbers]
        marks = [(mark, shown(math.exp(mark))) for mark in _three(places)]
    else:
        places, marks = numbers, [(mark, shown(mark)) for mark in _three(numbers)]
    low, high = min(places), max(places)
    rest = iter(places)
    foot = [(ABSENT, "–")] if len(known) < len(values) else []
    return Axis(
        name,
        tuple(ABSENT if value is None else _height(next(rest), low, high) for value in values),
        (*foot, *((_height(mark, low, high), text) for mark, text in marks)),
    )


def metric(name: str, values: Sequence[float], maximise: bool) -> Axis:
    """An upright on which the best stands on top."""
    worst, best = (min(values), max(values)) if maximise else (max(values), min(values))
    return Axis(
        name,
        tuple(_height(value, worst, best) for value in values),
        tuple((_height(mark, worst, best), f"{mark:.3f}") for mark in _three(values)),
    )


def shown(value: Given) -> str:
    """A value in few letters."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _choices(values: Sequence[Given]) -> tuple[list[float], list[tuple[float, str]]]:
    """The rank of each value, numbers by size before texts."""
    text = {_key(value): shown(value) for value in values}
    place = {key: float(rank) for rank, key in enumerate(sorted(text))}
    marks = [(place[key], text[key]) for key in sorted(text)]
    return [place[_key(value)] for value in values], marks[:: -(-len(marks) // MOST_MARKS)]


def _key(value: Given) -> tuple[bool, float, str]:
    # True and 1 stay apart
    if isinstance(value, bool | str) or value is None:
        return (True, 0.0, str(value))
    return (False, float(value), "")


def _logarithmic(values: Sequence[float]) -> bool:
    """Whether most trials lie in the lowest quarter of a wide range.

    The space that they were drawn from is not at hand, so the middle trial tells its scale.
    """
    low, high = min(values), max(values)
    return low > 0 and high > WIDE * low and statistics.median(values) - low < (high - low) / 4


def _three(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [low, (low + high) / 2, high] if high > low else [low]


def _height(place: float, foot: float, top: float) -> float:
    return 0.5 if top == foot else round((place - foot) / (top - foot), 4)
