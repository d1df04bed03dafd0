"""A parameter as an upright of parallel coordinates: numbers, and what its marks say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from mmauto_sections.colours import plain

FEW = 6
"""Whole numbers with so many values at most are spaced evenly, like choices."""

WIDE = 10
"""Largest by smallest number from which a scale may be logarithmic."""

FOOT = 0.12
"""How far below the others, as a share of their reach, trials stand that lack the parameter."""

MOST_MARKS = 12
LONGEST = 16

Given = bool | int | float | str | None
Marks = list[tuple[float, str]]


def upright(name: str, values: Sequence[Given]) -> dict[str, Any]:
    """A dimension as plotly's parallel coordinates take it.

    Args:
        values: one a trial, not all None; None where the parameter does not apply.
    """
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if not isinstance(value, bool | str)]
    few = all(isinstance(value, int) for value in known) and len(set(numbers)) <= FEW
    if few or len(numbers) < len(known):
        places, marks = _choices(known)
    elif _logarithmic(numbers):
        name = f"{name} (log)"
        places = [math.log10(number) for number in numbers]
        marks = [(mark, shown(10**mark)) for mark in _three(places)]
    else:
        places, marks = numbers, [(mark, shown(mark)) for mark in _three(numbers)]
    low, high = min(places), max(places)
    if len(known) < len(values):
        low -= FOOT * ((high - low) or 1.0)
        marks = [(low, "–"), *marks]
    rest = iter(places)
    return {
        "label": plain(name),
        "values": [low if value is None else next(rest) for value in values],
        "tickvals": [mark for mark, _ in marks],
        "ticktext": [plain(text) for _, text in marks],
        "range": [low, high],
    }


def metric(name: str, values: Sequence[float], maximise: bool) -> dict[str, Any]:
    """A dimension on which the best stands on top."""
    marks = _three(values)
    low, high = marks[0], marks[-1]
    return {
        "label": plain(name),
        "values": list(values),
        "tickvals": marks,
        "ticktext": [f"{mark:.3f}" for mark in marks],
        "range": [low, high] if maximise else [high, low],
    }


def shown(value: Given) -> str:
    """A value in few letters."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _choices(values: Sequence[Given]) -> tuple[list[float], Marks]:
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
