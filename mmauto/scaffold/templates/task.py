"""A task: readings and a remark to a machine's state; made up, or a table of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.plugin import Task

if TYPE_CHECKING:
    from mmauto.plugin import Dataset

ROWS = 400
SCHEMA = {"text": ("remark",), "tabular": ("heat", "speed"), "target": ("state",)}
"""What the columns of a table are called, unless the user says otherwise."""


class ScaffoldNameTask(Task):
    """A machine stops when it is hot and its operator has noticed something: each input alone
    tells half of that.
    """

    name = "scaffold_name"
    summary = "readings and an operator's remark to a machine's state; simulated, or a table"
    reference = "an example of mmauto"

    def load(self, source: str | None, options: Mapping[str, Any]) -> Dataset:
        """The user's table where one is given, else simulated rows.

        Args:
            source: a table with the columns of ``SCHEMA``, or a folder with one; None: simulate.
            options: ``text``, ``tabular``, ``target`` ... name other columns of the table;
                ``seed`` decides the simulated rows.

        Raises:
            DataError: the table cannot be read.
        """
        if source is None:
            return _simulate(int(options.get("seed", 0)))
        from mmauto.plugin import read_table

        named = {key: value for key, value in options.items() if key != "seed"}
        return read_table(source, **{**SCHEMA, **named})


def _simulate(seed: int) -> Dataset:
    """``ROWS`` rows; one in ten has no remark, one reading in ten is missing."""
    from mmauto.plugin import Dataset, TabularValues, TargetColumn, Texts

    random = np.random.default_rng(seed)
    heat, speed = random.normal(60, 15, ROWS), random.normal(30, 5, ROWS)
    noticed = random.random(ROWS) < 0.5
    stops = (heat > 60) & noticed
    heat[random.random(ROWS) < 0.1] = np.nan
    sounds = random.choice(["rattles", "smells burnt", "vibrates"], ROWS)
    quiet = random.choice(["all fine", "no remark", "as usual"], ROWS)
    remarks = np.where(noticed, sounds, quiet)
    given = random.random(ROWS) < 0.9
    return Dataset(
        name="scaffold_name",
        columns={
            "text": Texts([str(r) if g else None for r, g in zip(remarks, given, strict=True)]),
            "tabular": TabularValues(
                {"heat": heat, "speed": speed}, {"heat": "numeric", "speed": "numeric"}
            ),
        },
        targets={"state": TargetColumn("state", "binary", np.where(stops, "stops", "runs"))},
        ids=np.array([f"row-{row:03d}" for row in range(ROWS)]),
        simulated=True,
    )
