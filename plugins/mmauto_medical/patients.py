"""Patients and their visits: what the visits of one person share, and nothing of the diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_VISITS = (0.55, 0.30, 0.15)


@dataclass(frozen=True)
class People:
    """One entry a patient, or a visit after ``take``.

    Attributes:
        age: ``(N,)`` years.
        sex: ``(N,)`` of ``female`` and ``male``.
        smoker: ``(N,)`` of ``never``, ``former`` and ``current``.
    """

    age: np.ndarray
    sex: np.ndarray
    smoker: np.ndarray

    @classmethod
    def draw(cls, patients: int, rng: np.random.Generator) -> People:
        """Independent patients, adults of all ages."""
        return cls(
            age=np.clip(np.round(rng.normal(58.0, 16.0, patients)), 18.0, 95.0),
            sex=rng.choice(np.array(["female", "male"], dtype=object), patients),
            smoker=rng.choice(
                np.array(["never", "former", "current"], dtype=object), patients, p=(0.5, 0.3, 0.2)
            ),
        )

    def take(self, rows: np.ndarray) -> People:
        """The people of ``rows``, in that order."""
        return People(self.age[rows], self.sex[rows], self.smoker[rows])


def visits(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``rows`` visits, one to three a patient: the patient's and the visit's number, from 0."""
    counts = rng.choice(len(_VISITS), rows, p=_VISITS) + 1
    patient = np.repeat(np.arange(rows), counts)[:rows]
    first = np.searchsorted(patient, patient)
    return patient, np.arange(rows) - first
