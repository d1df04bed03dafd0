"""What the study was run on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmauto.plugin import Block, Section, StudyView, Table, Text


class Data(Section):
    """Rows a split, classes, ideal observers where known, and what was noted while reading."""

    name = "data"
    summary = "rows, splits, classes and notes on the data"
    reference = "mmauto"
    title = "Data"
    order = 100

    def render(self, study: StudyView) -> Sequence[Block]:
        """Tables and notes."""
        inputs = ", ".join(f"{key} ({kind})" for key, kind in study.task.modalities.items())
        whole = (
            "Whole groups stand on one side of the split."
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
        return [*blocks, *(Text(str(found), "note") for found in study.findings)]

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
