"""What everyone reads of a stored study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, Row, Select, select

from mmauto.store.files import SUBGROUPS, TRUTH, load_arrays, under
from mmauto.store.lasting import lasting
from mmauto.store.rows import costs_of, failure_of, history, params_of, task_of
from mmauto.store.schema import arms, studies, trials
from mmauto.store.shapes import CONFIG, ENVIRONMENT, FACTS, NUMBERS, Facts, shaped
from mmauto.views import ArmView, ConfirmationView, Predictions, TrialView

BEFORE: Mapping[str, Any] = {"pack": 1, "finetune": "none"}
"""Settings that studies were stored without, and what they were then; all others newer than a study
count as their defaults."""

MOST_VALIDATED = 100
"""Trials an arm whose predictions are read to tell the luck of choosing."""


class StudyReader:
    """A study's rows, and the prediction files in its folder, as values.

    Every method raises StoreError where the database cannot be read, or was altered.

    Args:
        row: of `mmauto.store.schema.studies`.

    Attributes:
        where: the database, for messages.
    """

    def __init__(self, engine: Engine, folder: Path, row: Row[Any]):
        # workers elsewhere may have another current folder
        self.engine, self.folder = engine, folder.absolute()
        self.where = where = engine.url.render_as_string()
        self.id: int = row.id
        self.name: str = row.name
        self.config: Mapping[str, Any] = {**BEFORE, **shaped(row.config, CONFIG, "config", where)}
        self.facts: Mapping[str, Any] = Facts(shaped(row.facts, FACTS, "facts", where), where)
        self.environment: Mapping[str, Any] = shaped(
            row.environment, ENVIRONMENT, "environment", where
        )
        self.command: str = row.command
        self.created: float = row.created
        self.task = task_of(row.task, where)

    def flush(self) -> None:
        """Return when everything is on disk; a reader has nothing to write."""

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return lasting(self.engine, lambda connection: connection.execute(query).all())

    @property
    def state(self) -> tuple[str, float]:
        """``searching``, ``confirming`` or ``finished``, and the seconds spent so far."""
        query = select(studies.c.state, studies.c.seconds).where(studies.c.id == self.id)
        (row,) = self._all(query)
        return row.state, row.seconds

    def arms(self) -> list[ArmView]:
        """The arms in the order in which they take turns, as this process has changed them."""
        self.flush()
        query = select(arms).where(arms.c.study_id == self.id).order_by(arms.c.position)
        return [
            ArmView(
                r.name, r.kind, r.component, r.stage, r.summary,
                shaped(r.importances, NUMBERS, f"arm {r.name}'s importances", self.where),
                bool(r.parked),
            )
            for r in self._all(query)
        ]  # fmt: skip

    def trials(self) -> list[TrialView]:
        """The trials of the search, in the order in which they were asked."""
        rows = self.rows("search")
        curves, losses = history(self.engine, self.id, "search")
        return [
            TrialView(
                r.id, r.arm, r.generation, r.number, r.state, params_of(r, self.where), r.value,
                r.best_epoch, curves.get(r.id, ()), losses.get(r.id, ()), r.seconds, r.started,
                failure_of(r), costs_of(r, self.where),
            )
            for r in rows
        ]  # fmt: skip

    def confirmations(self) -> list[ConfirmationView]:
        """The confirmation runs that have ended."""
        rows = self.rows("confirm")
        curves, _ = history(self.engine, self.id, "confirm")
        found = []
        for r in rows:
            if r.state == "running":
                continue
            predicted = load_arrays(self.folder / r.predictions) if r.predictions else {}
            found.append(
                ConfirmationView(
                    r.arm, r.number, r.source, params_of(r, self.where), r.value,
                    curves.get(r.id, ()), under("valid/", predicted), under("test/", predicted),
                    costs_of(r, self.where), failure_of(r),
                )
            )  # fmt: skip
        return found

    def validated(
        self, maximise: bool, most: int = MOST_VALIDATED
    ) -> Iterator[tuple[str, Predictions]]:
        """Arm and validation predictions of the best trials of each arm in the search.

        Args:
            maximise: whether more of the metric is better.
            most: trials an arm; worse ones would not be chosen whatever the luck.
        """
        ended = [row for row in self.rows("search") if row.predictions and row.value is not None]
        seen: dict[str, int] = {}
        for row in sorted(ended, key=lambda row: -row.value if maximise else row.value):
            seen[row.arm] = seen.get(row.arm, 0) + 1
            if seen[row.arm] <= most and row.state in ("complete", "pruned"):
                yield row.arm, under("valid/", load_arrays(self.folder / row.predictions))

    def truth(
        self,
    ) -> tuple[dict[str, Predictions], dict[str, np.ndarray | None], dict[str, np.ndarray]]:
        """Labels, groups and ids by split, as `save_truth` wrote them."""
        arrays = load_arrays(self.folder / TRUTH)
        splits = ("valid", "test")
        return (
            {split: under(f"truth/{split}/", arrays) for split in splits},
            {split: arrays.get(f"groups/{split}") for split in splits},
            under("ids/", arrays),
        )

    def subgroups(self) -> dict[str, np.ndarray]:
        """Column -> subgroup labels of the test rows; none where none were named."""
        return under(SUBGROUPS, load_arrays(self.folder / TRUTH))

    def rows(self, purpose: str) -> Sequence[Row[Any]]:
        """Rows of ``mmauto_trials``, those included that this process has yet to write."""
        self.flush()
        query = (
            select(trials)
            .where((trials.c.study_id == self.id) & (trials.c.purpose == purpose))
            .order_by(trials.c.id)
        )
        return self._all(query)
