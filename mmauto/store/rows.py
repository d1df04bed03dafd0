"""What stands in a row, as the values that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, Row, select

from mmauto.store.schema import epochs, trials
from mmauto.values import TargetSpec, TaskView
from mmauto.views import Failure


def failure_of(row: Row[Any]) -> Failure | None:
    """Why a trial failed; None where it did not."""
    if row.failure_kind is None:
        return None
    return Failure(row.failure_kind, row.failure_message, row.failure_traceback or "")


def task_of(stored: Mapping[str, Any]) -> TaskView:
    """A task that was stored with `dataclasses.asdict`."""
    targets = {
        name: TargetSpec(spec["name"], spec["kind"], tuple(spec["classes"]))
        for name, spec in stored["targets"].items()
    }
    return TaskView(**{**stored, "targets": targets})


def history(
    engine: Engine, study: int, purpose: str
) -> tuple[dict[int, tuple[float, ...]], dict[int, tuple[float, ...]]]:
    """Trial -> validation metrics and losses by epoch, of the trials of one purpose."""
    query = (
        select(epochs.c.trial_id, epochs.c.value, epochs.c.loss)
        .join(trials, trials.c.id == epochs.c.trial_id)
        .where((trials.c.study_id == study) & (trials.c.purpose == purpose))
        .order_by(epochs.c.trial_id, epochs.c.epoch)
    )
    curves: dict[int, list[float]] = {}
    losses: dict[int, list[float]] = {}
    with engine.connect() as connection:
        for trial, value, loss in connection.execute(query):
            curves.setdefault(trial, []).append(value)
            if loss is not None:
                losses.setdefault(trial, []).append(loss)
    return {t: tuple(v) for t, v in curves.items()}, {t: tuple(v) for t, v in losses.items()}
