"""Vitals and laboratory values, drawn from distributions that the vitals code decides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmauto_medical.patients import People

FIELDS: Mapping[str, str] = {
    "age": "numeric",
    "temperature": "numeric",
    "heart_rate": "numeric",
    "respiratory_rate": "numeric",
    "spo2": "numeric",
    "systolic": "numeric",
    "diastolic": "numeric",
    "crp": "numeric",
    "wbc": "numeric",
    "bnp": "numeric",
    "creatinine": "numeric",
    "sex": "categorical",
    "smoker": "categorical",
    "rhythm": "categorical",
    "oxygen": "categorical",
}
"""Units: years, °C, 1/min, 1/min, %, mmHg, mmHg, mg/L, 10⁹/L, pg/mL, µmol/L."""

# field -> (mean for quiet, inflamed, congested, hypoxic; standard deviation; decimals)
_NORMAL: Mapping[str, tuple[tuple[float, ...], float, int]] = {
    "temperature": ((36.8, 38.5, 36.7, 36.9), 0.40, 1),
    "heart_rate": ((75.0, 98.0, 90.0, 108.0), 10.0, 0),
    "respiratory_rate": ((15.0, 19.0, 19.0, 27.0), 2.5, 0),
    "spo2": ((97.5, 95.5, 95.0, 89.0), 1.6, 0),
    "systolic": ((126.0, 118.0, 154.0, 124.0), 14.0, 0),
    "diastolic": ((76.0, 70.0, 90.0, 76.0), 9.0, 0),
    "wbc": ((7.2, 14.0, 7.8, 8.8), 2.0, 1),
    "creatinine": ((82.0, 82.0, 82.0, 82.0), 16.0, 0),
}
# medians and spread on the logarithmic scale, where a few values are very large
_SKEWED: Mapping[str, tuple[tuple[float, ...], float, int]] = {
    "crp": ((4.0, 110.0, 8.0, 12.0), 0.7, 0),
    "bnp": ((45.0, 60.0, 700.0, 80.0), 0.7, 0),
}
_IRREGULAR = np.array([0.05, 0.08, 0.40, 0.10])
_ON_OXYGEN = np.array([0.02, 0.12, 0.15, 0.75])


def measure(codes: np.ndarray, people: People, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Field -> ``(N,)`` floats or strings, in the order of ``FIELDS``."""
    count = len(codes)
    drawn: dict[str, np.ndarray] = {
        "age": people.age.copy(),
        "sex": people.sex.copy(),
        "smoker": people.smoker.copy(),
    }
    for name, (means, spread, decimals) in _NORMAL.items():
        drawn[name] = np.round(rng.normal(np.array(means)[codes], spread), decimals)
    for name, (medians, spread, decimals) in _SKEWED.items():
        factor = np.exp(rng.normal(0.0, spread, count))
        drawn[name] = np.round(np.array(medians)[codes] * factor, decimals)
    drawn["spo2"] = np.minimum(drawn["spo2"], 100.0)
    drawn["rhythm"] = _either(rng.random(count) < _IRREGULAR[codes], "irregular", "sinus")
    drawn["oxygen"] = _either(rng.random(count) < _ON_OXYGEN[codes], "nasal cannula", "room air")
    return {name: drawn[name] for name in FIELDS}


def blank(values: Mapping[str, np.ndarray], seen: np.ndarray) -> dict[str, np.ndarray]:
    """The same values with every field missing where ``seen`` is False."""
    return {
        name: np.where(seen, column, np.array(np.nan if FIELDS[name] == "numeric" else None))
        for name, column in values.items()
    }


def _either(which: np.ndarray, yes: str, no: str) -> np.ndarray:
    return np.where(which, np.array(yes, dtype=object), np.array(no, dtype=object))
