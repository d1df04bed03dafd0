"""Kept models asked again on test rows that were changed: what do they rely on, how do they break?

Three kinds of questions. ``swapped``: a modality's samples stand at other rows, so that it is there
but says nothing of its row. ``missing``: it is hidden from some rows. ``spoilt``: pictures, texts
and numbers are as on a bad day (`mmauto.data.corrupt`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from mmauto.data.columns import DOMAIN
from mmauto.data.corrupt import KINDS, corrupted
from mmauto.engine.bundle import Bundle, Memo
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import NOTE
from mmauto.registry import Registry
from mmauto.values import Column
from mmauto.views import Predictions

SWAPS = 3
"""Times that other rows' samples are drawn."""

MISSING = (0.25, 0.5, 0.75, 1.0)
SEVERITIES = (0.33, 0.67, 1.0)

MOST_MODALITIES = 5
"""With more, the subsets are too many: only each alone and all but each are asked for."""


@dataclass(frozen=True)
class Question:
    """One change to the rows.

    Attributes:
        kind: ``swapped``, ``missing`` or ``spoilt``.
        keys: the modalities that are changed.
        how: of a spoilt modality, what is done to it.
        level: share of rows, severity, or the number of the draw.
    """

    kind: str
    keys: tuple[str, ...]
    how: str = ""
    level: float = 0.0

    @property
    def name(self) -> str:
        """One text, for files."""
        return "|".join((self.kind, "+".join(self.keys), self.how, f"{self.level:g}"))


def probe(
    folders: Mapping[str, Path],
    columns: Mapping[str, Column],
    spoilt_rows: int,
    registry: Registry,
    device: str = "cpu",
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, Question | None, Predictions]]:
    """Arm, question (None: the rows as they are), predictions.

    A plugin that fails on changed rows costs that question of that arm alone: a note says so.

    Args:
        folders: arm -> its bundle.
        columns: the test rows.
        spoilt_rows: only the first so many rows are spoilt, since each has to be encoded anew.
    """
    bundles: dict[str, Bundle] = {}
    memo: Memo = {}
    clean: dict[str, dict[str, Inputs]] = {}
    for arm, folder in folders.items():
        try:
            bundle = Bundle(folder, registry, device)
            clean[arm] = _inputs(bundle, columns, memo)
            answer = bundle.answer(clean[arm], columns.get(DOMAIN))
        except Exception as error:  # a plugin's code: the others are asked all the same
            say(f"{NOTE}{arm} could not be asked what it relies on: {error}")
            clean.pop(arm, None)
            continue
        bundles[arm] = bundle
        yield arm, None, answer
    total = len(next(iter(columns.values())))
    orders = _orders(total, seed)
    for arm, bundle in bundles.items():
        say(f"asking {arm} what it relies on")
        keys = bundle.candidate.modalities
        for question in (*_swapped(keys), *_missing(keys)):
            with _noted(arm, question, say):
                given = _asked(clean[arm], question, orders)
                yield arm, question, bundle.answer(given, columns.get(DOMAIN))
    some = {key: column.take(np.arange(min(spoilt_rows, total))) for key, column in columns.items()}
    yield from _spoilt(bundles, clean, some, seed, say)


@contextmanager
def _noted(arm: str, question: Question, say: Callable[[str], None]) -> Iterator[None]:
    """What fails in here becomes a note, the same one at every level of a change."""
    try:
        yield
    except Exception as error:  # a plugin's code: the other questions are asked all the same
        what = " ".join(part for part in ("+".join(question.keys), question.how) if part)
        say(f"{NOTE}{arm} could not be asked about rows with {question.kind} {what}: {error}")


def _inputs(bundle: Bundle, columns: Mapping[str, Column], memo: Memo) -> dict[str, Inputs]:
    return {key: bundle.inputs(key, columns[key], memo) for key in bundle.candidate.modalities}


def _swapped(keys: Sequence[str]) -> Iterator[Question]:
    """Every subset of modalities that says nothing, but the empty one."""
    sizes = range(1, len(keys) + 1)
    if len(keys) > MOST_MODALITIES:
        sizes = (1, len(keys) - 1, len(keys))  # type: ignore[assignment]
    for size in sizes:
        for gone in combinations(keys, size):
            for draw in range(SWAPS):
                yield Question("swapped", gone, level=draw)


def _missing(keys: Sequence[str]) -> Iterator[Question]:
    for key in keys:
        for share in MISSING:
            yield Question("missing", (key,), level=share)


def _orders(total: int, seed: int) -> list[np.ndarray]:
    """Where each row's samples come from, a draw: never from the row itself, where there are two.

    Samples of several modalities move together: they imitate one other row.
    """
    source = np.random.default_rng(seed)
    found = []
    for _ in range(SWAPS):
        round_trip = source.permutation(total)
        order = np.empty(total, dtype=int)
        order[round_trip] = np.roll(round_trip, 1)
        found.append(order)
    return found


def _asked(
    clean: Mapping[str, Inputs], question: Question, orders: Sequence[np.ndarray]
) -> dict[str, Inputs]:
    found = dict(clean)
    for key in question.keys:
        part = clean[key]
        if question.kind == "swapped":
            order = torch.from_numpy(orders[int(question.level)]).to(part.present.device)
            arrays = {name: array[order] for name, array in part.arrays.items()}
            found[key] = replace(part, arrays=arrays, present=part.present[order])
        else:
            # nested: rows that miss a modality at 25 % miss it at 50 %, too
            gone = torch.from_numpy(orders[0] < round(question.level * len(orders[0])))
            found[key] = replace(part, present=part.present & ~gone.to(part.present.device))
    return found


def _spoilt(
    bundles: Mapping[str, Bundle],
    clean: Mapping[str, Mapping[str, Inputs]],
    columns: Mapping[str, Column],
    seed: int,
    say: Callable[[str], None],
) -> Iterator[tuple[str, Question, Predictions]]:
    """One column at a time; models that read it through the same encoder share its tokens."""
    rows = len(next(iter(columns.values())))
    kept = {
        arm: {key: _first(part, rows) for key, part in own.items()} for arm, own in clean.items()
    }
    for key, column in columns.items():
        readers = {arm: one for arm, one in bundles.items() if key in one.candidate.modalities}
        for how in KINDS.get(column.modality, {}) if readers else ():
            for severity in SEVERITIES:
                say(f"{key}: {how}, severity {severity:g}")
                memo: Memo = {}
                bad = corrupted(column, how, severity, seed)
                for arm, bundle in readers.items():
                    question = Question("spoilt", (key,), how, severity)
                    with _noted(arm, question, say):
                        given = {**kept[arm], key: bundle.inputs(key, bad, memo)}
                        yield arm, question, bundle.answer(given, columns.get(DOMAIN))


def _first(part: Inputs, rows: int) -> Inputs:
    arrays = {name: array[:rows] for name, array in part.arrays.items()}
    return replace(part, arrays=arrays, present=part.present[:rows])
