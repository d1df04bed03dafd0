"""The simulated chest-radiograph study: findings, then renderings, as one data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmauto_medical import findings as model
from mmauto_medical import note, patients, radiograph, vitals

if TYPE_CHECKING:
    from mmauto.plugin import Dataset, TargetColumn

NOTES = (
    "The data is simulated: pictures, notes and vitals are drawn from a generative model of five "
    "diagnoses, no patient stands behind them, and nothing here is a medical result.",
    "The ceiling is the posterior given the finding codes behind each rendering: no model can "
    "beat it in expectation.",
)


def simulate(rows: int, seed: int) -> Dataset:
    """The study: ``rows`` visits with image, text and tabular columns and three targets.

    Equal arguments give equal bytes; each part has a random stream of its own, so that a change
    to the notes leaves the pictures alone.
    """
    from mmauto.plugin import Dataset, ImageArrays, TabularValues, Texts

    whom, what, films, notes, values, outcomes = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(6)
    )
    patient, visit = patients.visits(rows, whom)
    people = patients.People.draw(rows, whom).take(patient)
    builds = radiograph.Build.draw(rows, whom).take(patient)
    found = model.draw(rows, what)
    texts = note.write(found.codes["text"], people, notes)
    measured = vitals.measure(found.codes["tabular"], people, values)
    groups = np.array([f"p{number + 1:04d}" for number in patient], dtype=object)
    return Dataset(
        name="medical",
        columns={
            "image": ImageArrays(radiograph.render(found.codes["image"], builds, films)),
            "text": Texts(
                [
                    text if seen else None
                    for text, seen in zip(texts, found.seen["text"], strict=True)
                ]
            ),
            "tabular": TabularValues(vitals.blank(measured, found.seen["tabular"]), vitals.FIELDS),
        },
        targets=_targets(found, outcomes),
        ids=np.array([f"{g}-v{v + 1}" for g, v in zip(groups, visit, strict=True)], dtype=object),
        groups=groups,
        ideal=ideal(found),
        simulated=True,
        notes=NOTES,
        licence="Apache-2.0",
    )


def ideal(found: model.Findings) -> dict[str, np.ndarray]:
    """The ideal observers' scores, ``(N, diagnoses)``: each modality alone, and ``all``."""
    flat = np.ones(len(model.DIAGNOSES))
    observers = {**{modality: (modality,) for modality in model.CODES}, "all": tuple(model.CODES)}
    return {name: model.posterior(found, seen, flat) for name, seen in observers.items()}


def _targets(found: model.Findings, rng: np.random.Generator) -> dict[str, TargetColumn]:
    from mmauto.plugin import TargetColumn

    names = np.array(model.DIAGNOSES, dtype=object)
    answers = np.array(["no", "yes"], dtype=object)
    targets = (
        TargetColumn(
            "diagnosis",
            "multiclass",
            names[found.diagnosis],
            classes=model.DIAGNOSES,
            metric="balanced_accuracy",
        ),
        TargetColumn(
            "urgent", "binary", answers[model.urgent(found, rng).astype(int)], ("no", "yes")
        ),
        TargetColumn("stay_days", "regression", model.stay(found, rng), metric="mae"),
    )
    return {target.name: target for target in targets}
