"""What the study was run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmauto.plugin import Block, Section, StudyView, Table, Text


class Data(Section):
    """Rows a split, classes, ideal observers where known, and what was noted while reading."""

    name = "data"
    summary = "the data card: rows, classes, findings, roles of the columns, licence"
    reference = "mmauto"
    title = "Data card"
    order = 100

    def render(self, study: StudyView) -> Sequence[Block]:
        """Tables and notes."""
        inputs = ", ".join(f"{key} ({kind})" for key, kind in study.task.modalities.items())
        whole = (
            "Rows of one group, or with an equal picture, stand on one side of the split."
            if study.groups.get("test") is not None
            else ""
        )
        blocks: list[Block] = [
            Text(f"Inputs: {inputs}. {whole}".strip()),
            Table(("split", "rows"), [[split, count] for split, count in study.rows.items()]),
            *self._classes(study),
        ]
        if study.ceiling:
            blocks.append(
                Table(
                    ("ideal observer of", study.task.metric.replace("_", " ")),
                    [[name, value] for name, value in study.ceiling.items()],
                    "What the best possible use of each modality's findings reaches on the test "
                    "rows; known because the data is simulated. No model can do better in "
                    "expectation, though on few rows chance may put one above.",
                )
            )
        return [*blocks, *_findings(study), *_roles(study), *_licence(study)]

    def _classes(self, study: StudyView) -> Sequence[Block]:
        spec = study.task.targets[study.task.primary]
        if spec.kind not in ("binary", "multiclass"):
            return []
        rows: list[list[str | int | float | None]] = []
        for place, name in enumerate(spec.classes):
            counts = [
                int(np.sum(study.truth[split][spec.name] == place)) for split in ("valid", "test")
            ]
            rows.append([name, *counts])
        return [Table((f"{spec.name}", "valid", "test"), rows)]


def _findings(study: StudyView) -> Sequence[Block]:
    """Warnings as notes of their own, remarks after them."""
    warned = [found for found in study.findings if found.warning]
    rest = [found for found in study.findings if not found.warning]
    rows = [("warning", found.text, found.action) for found in warned]
    rows += [("remark", found.text, found.action) for found in rest]
    if not rows:
        return [Text("Nothing odd was found in the data before training.")]
    return [
        Table(
            ("", "found before training", "what was done"), rows,
            f"{len(warned)} warnings, {len(rest)} remarks.",
        )
    ]  # fmt: skip


def _roles(study: StudyView) -> Sequence[Block]:
    if not study.roles:
        return []
    return [
        Table(
            ("column", "role", "because"),
            [(guess.column, guess.role, guess.reason) for guess in study.roles],
            "What each column of the table was used as.",
        )
    ]


def _licence(study: StudyView) -> Sequence[Block]:
    kind = "simulated by mmauto" if study.task.simulated else "the user's own"
    return [Text(f"The data is {kind}; licence: {study.licence or 'not known to mmauto'}.")]
