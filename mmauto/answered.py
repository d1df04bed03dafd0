"""What kept models answered after confirmation: to changed rows, and about single rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Probes:
    """What kept models answered to changed test rows; see `mmauto.engine.probe`.

    Attributes:
        rows: ``(M,)`` places in the test split, in the order of the answers.
        spoilt: so many of them, from the first, were spoilt, too.
        answers: arm -> question -> target -> ``(M, width)`` predictions; the empty question is the
            rows as they are.
    """

    rows: np.ndarray
    spoilt: int
    answers: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]


@dataclass(frozen=True)
class Shown:
    """One modality of a row, as people read it, and what its pieces did to a model's answer.

    Pieces are patches of a picture (a square grid, row by row), words, or fields.

    Attributes:
        picture: a small JPEG; empty for other modalities.
        words: the beginning of a text.
        fields: field -> value as read; None where it is missing.
        effects: of each piece in order: how much the answer loses by hiding it, in probability or
            in the target's unit; NaN for pieces that were not hidden, empty where none was.
        whole: what it loses by the whole modality; NaN where that was not asked.
        weight: the share that the fusion itself gives to the modality; NaN where it gives none.
        attention: what the fusion's attention gives to each of what it lies over; NaN for words
            that were not told apart, empty where there is no attention over several tokens.
        over: what it lies over: ``patches`` (a square grid), ``words``, or the encoder's own
            ``tokens``.
    """

    modality: str
    picture: bytes = b""
    words: tuple[str, ...] = ()
    fields: Mapping[str, float | str | None] = field(default_factory=dict)
    effects: tuple[float, ...] = ()
    whole: float = math.nan
    weight: float = math.nan
    attention: tuple[float, ...] = ()
    over: str = ""


@dataclass(frozen=True)
class Example:
    """A test row to look at.

    Attributes:
        row: its place in the test split.
        why: ``mistake`` or ``disagreement``.
        parts: modality key -> what is there of it.
    """

    row: int
    why: str
    parts: Mapping[str, Shown] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Rows that are worth a look.

    Attributes:
        arm: whose answers the effects explain, and whose mistakes these are.
        notes: sentences on what is not there, and why.
    """

    arm: str
    rows: tuple[Example, ...]
    notes: tuple[str, ...] = ()
