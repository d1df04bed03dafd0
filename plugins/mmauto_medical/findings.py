"""Diagnosis and finding codes: a small generative model whose posterior is exact.

A diagnosis is drawn, then one finding code for each modality, independent of one another given the
diagnosis. A picture, a note or a set of vitals is rendered from its code and from nuisance that
knows nothing of the diagnosis, so the codes are all that any model can learn of it, and the
posterior given the codes is a ceiling.

Three things are built into the tables, so that fusion has something to find:

* only the picture tells a nodule from normal: their notes and vitals follow the same law;
* only the note or vitals tell pneumonia from heart failure once the picture shows an opacity or
  an effusion, and only the note does once the vitals are hypoxic: the two are equal there;
* an infective note alone may be a normal chest, an opacity alone may be heart failure: together
  they are pneumonia.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

DIAGNOSES = ("normal", "pneumonia", "heart failure", "pneumothorax", "nodule")
PRIOR = np.array([0.36, 0.22, 0.18, 0.12, 0.12])

CODES: Mapping[str, tuple[str, ...]] = {
    "image": ("clear", "opacity", "effusion", "large heart", "collapsed edge", "nodule"),
    "text": ("unspecific", "infective", "cardiac", "pleuritic", "breathless"),
    "tabular": ("quiet", "inflamed", "congested", "hypoxic"),
}
TABLES: Mapping[str, np.ndarray] = {
    "image": np.array(
        [
            [0.77, 0.07, 0.03, 0.06, 0.04, 0.03],
            [0.08, 0.60, 0.20, 0.10, 0.01, 0.01],
            [0.03, 0.60, 0.20, 0.15, 0.01, 0.01],
            [0.19, 0.02, 0.03, 0.02, 0.73, 0.01],
            [0.05, 0.02, 0.01, 0.01, 0.01, 0.90],
        ]
    ),
    "text": np.array(
        [
            [0.54, 0.13, 0.13, 0.12, 0.08],
            [0.03, 0.88, 0.02, 0.02, 0.05],
            [0.03, 0.02, 0.88, 0.02, 0.05],
            [0.04, 0.02, 0.02, 0.86, 0.06],
            [0.54, 0.13, 0.13, 0.12, 0.08],
        ]
    ),
    "tabular": np.array(
        [
            [0.70, 0.13, 0.10, 0.07],
            [0.08, 0.66, 0.02, 0.24],
            [0.08, 0.02, 0.66, 0.24],
            [0.16, 0.02, 0.02, 0.80],
            [0.70, 0.13, 0.10, 0.07],
        ]
    ),
}
"""modality -> ``(diagnoses, codes)``: p(code | diagnosis); rows sum to 1."""

MISSING: Mapping[str, float] = {"image": 0.0, "text": 0.08, "tabular": 0.08}
"""modality -> share of visits without it, missing completely at random."""

_URGENCY = np.array([-3.0, 0.3, 0.8, 2.2, -2.2])
_STAY = np.array([0.6, 5.0, 6.5, 3.5, 1.2])


@dataclass(frozen=True)
class Findings:
    """What was drawn for N visits.

    Attributes:
        diagnosis: ``(N,)`` indices into ``DIAGNOSES``.
        codes: modality -> ``(N,)`` indices into ``CODES[modality]``.
        seen: modality -> ``(N,)`` bool, False where the sample is missing.
    """

    diagnosis: np.ndarray
    codes: Mapping[str, np.ndarray]
    seen: Mapping[str, np.ndarray]

    def shows(self, modality: str, code: str) -> np.ndarray:
        """``(N,)`` bool: the visits whose ``modality`` holds ``code``, seen or not."""
        found: np.ndarray = self.codes[modality] == CODES[modality].index(code)
        return found


def draw(rows: int, rng: np.random.Generator) -> Findings:
    """Diagnosis, codes and missing samples of ``rows`` independent visits."""
    diagnosis = _pick(np.broadcast_to(PRIOR, (rows, len(PRIOR))), rng)
    codes = {modality: _pick(table[diagnosis], rng) for modality, table in TABLES.items()}
    seen = {modality: rng.random(rows) >= share for modality, share in MISSING.items()}
    return Findings(diagnosis, codes, seen)


def posterior(findings: Findings, observed: Iterable[str], prior: np.ndarray) -> np.ndarray:
    """p(diagnosis | the codes of the ``observed`` modalities), ``(N, diagnoses)``.

    A missing sample is not observed. Under a flat prior its arg-max is the decision that no other
    can beat in expected balanced accuracy: dividing by the prior turns mean recall into accuracy.
    """
    joint = np.tile(prior / prior.sum(), (len(findings.diagnosis), 1))
    for modality in observed:
        likelihood = TABLES[modality][:, findings.codes[modality]].T
        joint = joint * np.where(findings.seen[modality][:, None], likelihood, 1.0)
    scores: np.ndarray = joint / joint.sum(axis=1, keepdims=True)
    return scores


def urgent(findings: Findings, rng: np.random.Generator) -> np.ndarray:
    """``(N,)`` bool: to be seen at once; noisy, by diagnosis and hypoxia."""
    logit = _URGENCY[findings.diagnosis] + 2.0 * findings.shows("tabular", "hypoxic")
    drawn: np.ndarray = rng.random(len(logit)) < 1 / (1 + np.exp(-logit))
    return drawn


def stay(findings: Findings, rng: np.random.Generator) -> np.ndarray:
    """``(N,)`` days in hospital, one decimal; by diagnosis, effusion and hypoxia, skewed noise."""
    days = (
        _STAY[findings.diagnosis]
        + 2.0 * findings.shows("image", "effusion")
        + 1.5 * findings.shows("tabular", "hypoxic")
    )
    drawn: np.ndarray = np.round(days * rng.gamma(9.0, 1 / 9.0, len(days)), 1)
    return drawn


def _pick(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One index a row of ``weights`` ``(N, K)``, whose rows sum to 1."""
    edges = np.cumsum(weights, axis=1)[:, :-1]
    picked: np.ndarray = (rng.random((len(weights), 1)) > edges).sum(axis=1)
    return picked
