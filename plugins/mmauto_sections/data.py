"""What the study was run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmauto.plugin import Block, Finding, Section, StudyView, Table, TargetSpec, Text
from mmauto_sections.colours import metric_label
from mmauto_sections.folding import short
from mmauto_sections.pooled import is_pooled

OF_ONE_FOLD = "power"
"""The kind of finding that holds for one split alone."""


class Data(Section):
    """Warnings, rows a split, classes, ideal observers where known, missing values, roles."""

    name = "data"
    summary = "the data card: warnings, rows, classes, missing values, roles, licence"
    reference = "mmauto"
    title = "Data card"
    order = 130

    def render(self, study: StudyView) -> Sequence[Block]:
        """What may spoil the answer first, then counts, then the rest."""
        return [
            *(Text(f"Warning: {found}", "warning") for found in _told(study) if found.warning),
            Text(_origin(study)),
            Table(
                ("split", "rows"),
                [[split, count] for split, count in study.rows.items()],
                "Each row was tested in one fold, by models that learned from the others."
                if is_pooled(study)
                else "Rows of each split: models learn from train, choices are made on valid, test "
                "only estimates.",
            ),
            *_classes(study),
            *_ceiling(study),
            *_remarks(study),
            *_roles(study),
        ]


def _origin(study: StudyView) -> str:
    source = "simulated by mmauto" if study.task.simulated else "the user's own"
    inputs = ", ".join(f"{key} ({kind})" for key, kind in study.task.modalities.items())
    whole = (
        " Rows of one group, or with an equal picture, stand on one side of the split."
        if study.groups.get("test") is not None
        else ""
    )
    return (
        f"The data is {source}; licence: {study.licence or 'not known to mmauto'}. "
        f"Inputs: {inputs}.{whole}"
    )


def _classes(study: StudyView) -> Sequence[Block]:
    spec = study.task.targets[study.task.primary]
    if spec.kind not in ("binary", "multiclass"):
        return []
    counts = {
        # rows of pooled folds have one name for all that is done with them
        split: _counted(study.truth[split if split in study.truth else "test"][spec.name], spec)
        for split in study.rows
        if split != "train"
    }
    if "train" in study.rows and spec.name in study.learned:
        counts = {"train": list(study.learned[spec.name]), **counts}
    rows = [[name, *each] for name, *each in zip(spec.classes, *counts.values(), strict=True)]
    table = Table((spec.name, *counts), rows, f"Rows of each class of {spec.name}.")
    return [short(table, "Rows of each class")]


def _counted(truth: np.ndarray, spec: TargetSpec) -> list[int]:
    return [int(np.sum(truth == place)) for place in range(len(spec.classes))]


def _ceiling(study: StudyView) -> Sequence[Block]:
    if not study.ceiling:
        return []
    return [
        Table(
            ("ideal observer of", metric_label(study)),
            [[name, value] for name, value in study.ceiling.items()],
            "What the best possible use of each modality's findings reaches on the test rows; "
            "known because the data is simulated. No model can do better in expectation, though on "
            "few rows chance may put one above.",
        )
    ]


def _told(study: StudyView) -> list[Finding]:
    """What was found, but for what the rows of one fold can tell where there are those of all."""
    left = (OF_ONE_FOLD,) if is_pooled(study) else ()
    return [found for found in study.findings if found.kind not in left]


def _remarks(study: StudyView) -> Sequence[Block]:
    if not study.findings:
        return [Text("Nothing odd was found in the data before training.")]
    rows = [
        (found.kind.replace("_", " "), found.text, found.action)
        for found in _told(study)
        if not found.warning
    ]
    if not rows:
        return []
    table = Table(
        ("about", "found before training", "what was done"), rows,
        "Missing values and other remarks; what may spoil the answer stands above as a warning.",
    )  # fmt: skip
    return [short(table, "Missing values and other remarks")]


def _roles(study: StudyView) -> Sequence[Block]:
    if not study.roles:
        return []
    table = Table(
        ("column", "role", "because"),
        [(guess.column, guess.role, guess.reason) for guess in study.roles],
        "What each column of the table was used as.",
    )
    return [short(table, "What each column was used as")]
