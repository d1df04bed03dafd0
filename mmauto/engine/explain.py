"""What a kept model looks at in single rows: pieces of a sample are hidden, one by one.

A patch of a picture is painted over with the picture's mean colour (Zeiler and Fergus 2014, ECCV),
a word is left out (Li, Monroe and Jurafsky 2016), a field gets its typical value of the train rows.
What the answer loses by it is the piece's effect. The raw sample is changed, so any encoder, any
fusion and any control can be asked. What the fusion itself weighs is kept beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from mmauto.answered import Shown
from mmauto.data.columns import DOMAIN
from mmauto.engine.attended import attended
from mmauto.engine.batches import domain_codes
from mmauto.engine.bundle import Bundle
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import ExplainJob, Setup
from mmauto.engine.once import precision, slices
from mmauto.engine.pieces import Pieces, pieces_of, shown, typical
from mmauto.registry import Registry
from mmauto.values import Column, FusionResult

Take: TypeAlias = Callable[[int, str, Shown | str], None]
"""(place among the rows, modality key, what is there of it); a text is a note, without a place."""

BATCH = 65
"""So many samples are answered at once: one as it is, and 64 with a piece hidden."""
SIDES = (8, 6, 4)
"""Patches a side of a picture, as many as there is time for."""
NOWHERE = -1


def explain(job: ExplainJob, setup: Setup, registry: Registry, take: Take) -> None:
    """Give the rows, then, as far as time allows, the same with what their pieces do.

    A model or a plugin that fails costs the effects alone: a note says so.

    Args:
        take: is called more than once for the same place and key; the last call is the best.
    """
    columns = {k: c.take(job.rows) for k, c in setup.dataset.columns.items()}
    found = {
        (place, key): shown(column, place, sum(c.modality == "image" for c in columns.values()))
        for key, column in columns.items()
        if key != DOMAIN
        for place in np.flatnonzero(column.present).tolist()
    }
    for (place, key), part in found.items():
        take(place, key, part)
    try:
        bundle = Bundle(Path(job.folder), registry, setup.device)
        asked = _Asked(job, bundle, columns, setup, dict(found))
        for place, key, changes in asked.answers():
            found[place, key] = replace(found[place, key], **changes)
            take(place, key, found[place, key])
    except Exception as error:
        text = f"what the model looked at could not be told: {type(error).__name__}: {error}"
        take(NOWHERE, "", text)
        return
    if asked.late:
        text = f"pieces of the samples were hidden for {job.seconds:g} seconds at most"
        take(NOWHERE, "", f"{text}, which was too short for {asked.late} of {len(job.rows)} rows")


@dataclass
class _Asked:
    """One model and the rows that it is asked about.

    Attributes:
        there: place and modality key -> what is there of the rows.
        late: rows for which time ran out.
    """

    job: ExplainJob
    bundle: Bundle
    columns: Mapping[str, Column]
    setup: Setup
    there: Mapping[tuple[int, str], Shown]
    late: int = 0

    @cached_property
    def clean(self) -> dict[str, Inputs]:
        """The rows as they are."""
        keys = self.bundle.candidate.modalities
        return {key: self.bundle.inputs(key, self.columns[key]) for key in keys}

    def answers(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Place, key and the fields of `Shown` that are known by now."""
        end = time.monotonic() + self.job.seconds
        everything = np.arange(len(self.job.rows))
        base = self._values(everything, self.clean)
        weights = self._weights()
        for key, part in self.clean.items():
            without = {**self.clean, key: replace(part, present=torch.zeros_like(part.present))}
            losses = base - self._values(everything, without)
            for place in np.flatnonzero(self.columns[key].present).tolist():
                weight = float(weights[key][place]) if key in weights else math.nan
                yield place, key, {"whole": float(losses[place]), "weight": weight}
        yield from self._pieces(end)
        yield from self._attention(end)

    def _pieces(self, end: float) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Row by row, so that where time runs out, the first rows are complete."""
        side, late = self._side(end), set[int]()
        train, columns = self.setup.splits.train, self.setup.dataset.columns
        usual = {
            key: typical(columns[key].take(train)) if column.modality == "tabular" else {}
            for key, column in self.columns.items()
        }
        for place in range(len(self.job.rows)):
            for key in self.clean:
                if not self.columns[key].present[place]:
                    continue
                pieces = pieces_of(self.columns[key], place, side, usual[key])
                if pieces is None:
                    continue
                effects = self._effects(place, key, pieces, end)
                if effects is None:
                    late.add(place)
                else:
                    yield place, key, {"effects": effects}
        self.late = len(late)

    def _side(self, end: float) -> int:
        """The finest grid for which there is time, going by what one picture costs."""
        pictures = 0.0
        start = time.monotonic()
        for key in self.clean:
            if self.columns[key].modality == "image" and self.columns[key].present.any():
                first = int(np.flatnonzero(self.columns[key].present)[0])
                some = pieces_of(self.columns[key], first, SIDES[-1], {})
                assert some is not None
                self._answer(first, key, some.column)
                pictures += int(self.columns[key].present.sum()) / len(some.column)
        if not pictures:
            return SIDES[0]
        cost = (time.monotonic() - start) * pictures  # of one patch in every picture
        left = end - time.monotonic()
        return next((side for side in SIDES if cost * side**2 < left), SIDES[-1])

    def _effects(
        self, place: int, key: str, pieces: Pieces, end: float
    ) -> tuple[float, ...] | None:
        """What each piece's absence costs; None where time ran out."""
        rows = np.arange(len(pieces.column))
        values = []
        for part in slices(len(rows), BATCH):
            if time.monotonic() > end:
                return None
            values.append(self._answer(place, key, pieces.column.take(rows[part])))
        # the first one is whole
        first, *others = np.concatenate(values).tolist()
        found = np.full(pieces.total, math.nan)
        found[list(pieces.places)] = first - np.array(others)
        return tuple(found.tolist())

    def _answer(self, place: int, key: str, column: Column) -> np.ndarray:
        """``(V,)`` answers where one modality is changed in V ways and the others stay."""
        rows = np.full(len(column), place)
        given = {other: _row(part, rows) for other, part in self.clean.items() if other != key}
        order = {k: given[k] if k != key else self.bundle.inputs(key, column) for k in self.clean}
        return self._values(rows, order)

    def _values(self, places: np.ndarray, inputs: Mapping[str, Inputs]) -> np.ndarray:
        """``(V,)`` what is explained of each row: a probability, or a number in its unit."""
        answer = self.bundle.answer(inputs, self._domains(places))[self.setup.primary]
        outputs, signs = self.job.outputs[places], self.job.signs[places]
        return np.asarray(answer[np.arange(len(places)), outputs] * signs, dtype=float)

    def _domains(self, places: np.ndarray) -> Column | None:
        column = self.columns.get(DOMAIN)
        return None if column is None else column.take(places)

    def _attention(self, end: float) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """What the fusion attends to; where no time is left, words are not told apart."""
        given = None if self.fused is None else self.fused.attention
        for key, shares in (given or {}).items():
            masks = partial(self._masks, end, key)
            for place in np.flatnonzero(self.columns[key].present).tolist():
                own = shares[place].float().cpu().numpy()
                yield place, key, attended(own, self.there[place, key], masks)

    def _masks(self, end: float, key: str, texts: Column) -> np.ndarray | None:
        """Which tokens of each text are real."""
        late = time.monotonic() > end
        mask = None if late else self.bundle.inputs(key, texts).arrays.get("mask")
        return None if mask is None else mask.bool().cpu().numpy()

    def _weights(self) -> Mapping[str, np.ndarray]:
        """Modality -> ``(M,)`` shares that the fusion itself gives; empty where it gives none."""
        given = None if self.fused is None else self.fused.weights
        attention = None if self.fused is None else self.fused.attention
        if given is None and attention is not None and len(attention) > 1:
            given = {key: part.sum(-1) for key, part in attention.items()}
        return {key: part.float().cpu().numpy() for key, part in (given or {}).items()}

    @cached_property
    def fused(self) -> FusionResult | None:
        """What the fusion gives for the rows as they are; None where a control stands for it."""
        if self.bundle.candidate.kind == "control":
            return None
        arrays = {key: dict(part.arrays) for key, part in self.clean.items()}
        domains = self.columns.get(DOMAIN)
        if self.bundle.domains and domains is not None:
            codes = domain_codes(domains, self.bundle.domains)
            arrays[DOMAIN] = {"code": codes.to(self.bundle.device)}
        present = {key: part.present for key, part in self.clean.items()}
        with torch.inference_mode(), precision(self.bundle.device):
            result: FusionResult = self.bundle.model(self.clean)(arrays, present)
        return result


def _row(part: Inputs, rows: Sequence[int] | np.ndarray) -> Inputs:
    """The inputs with only ``rows``, in that order."""
    order = torch.as_tensor(rows).to(part.present.device)
    arrays = {name: array[order] for name, array in part.arrays.items()}
    return replace(part, arrays=arrays, present=part.present[order])
