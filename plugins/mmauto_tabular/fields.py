"""Fields as numbers and codes, with statistics of train rows: what the trained encoders read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmauto.plugin import Column, State

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 255
EXTREME = 10.0
"""Standardised values are cut here: one mistyped number must not outweigh everything else."""
TOO_LARGE = 1e100
"""Numbers beyond it count as missing, as their squares overflow."""


def fit_fields(train: Column) -> State:
    """Field names, ``mean`` and ``scale`` (F,) of numbers, and the categories of each field."""
    numeric = sorted(name for name, kind in train.fields.items() if kind == "numeric")
    values = _numbers(train, numeric)
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
    categories = {
        name: _categories(train, name)
        for name, kind in sorted(train.fields.items())
        if kind == "categorical"
    }
    return {
        "numeric": numeric,
        "mean": mean,
        # a constant column may deviate from its own mean by rounding
        "scale": np.where(deviation > 1e-9 * np.abs(mean), deviation, 1.0),
        "categories": categories,
    }


def field_arrays(column: Column, state: State) -> Mapping[str, Tensor]:
    """``codes`` (N, C) int64 and ``numbers`` (N, 2F) float32: values, then missing flags.

    Code 0 stands for a missing value and for one that the train rows do not have. An array
    without columns is left out.
    """
    import torch

    arrays = {}
    if state["categories"]:
        codes = np.zeros((len(column), len(state["categories"])), dtype=np.int64)
        for place, (name, values) in enumerate(sorted(state["categories"].items())):
            number = {value: code for code, value in enumerate(values, start=1)}
            codes[:, place] = [number.get(value, 0) for value in _field(column, name)]
        arrays["codes"] = torch.from_numpy(codes)
    if state["numeric"]:
        raw = _numbers(column, state["numeric"])
        known = np.isfinite(raw)
        scaled = (raw - np.asarray(state["mean"])) / np.asarray(state["scale"])
        scaled = np.where(known, scaled.clip(-EXTREME, EXTREME), 0.0)
        missing = ~known & column.present[:, None]
        both = np.concatenate([scaled, missing], axis=1).astype(np.float32)
        arrays["numbers"] = torch.from_numpy(both)
    return arrays


def code_counts(state: State) -> list[int]:
    """Codes of each categorical field, code 0 included."""
    return [len(known) + 1 for _, known in sorted(state["categories"].items())]


def _field(column: Column, name: str) -> list[float | str | None]:
    return [None if row is None else row.get(name) for row in column]


def _numbers(column: Column, names: Sequence[str]) -> np.ndarray:
    """(N, F) floats, NaN where missing or beyond any measurement."""
    rows = [{} if row is None else row for row in column]
    found = [[row.get(name) for name in names] for row in rows]
    values = np.array(found, dtype=np.float64).reshape(len(rows), len(names))
    return np.where(np.abs(values) < TOO_LARGE, values, np.nan)


def _categories(train: Column, name: str) -> list[str]:
    """The most frequent values, in alphabetical order."""
    counts = Counter(value for value in _field(train, name) if value is not None)
    often = sorted(counts, key=lambda value: (-counts[value], str(value)))[:LARGEST]
    return sorted(str(value) for value in often)
