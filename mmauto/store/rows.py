"""What stands in a row, as the values that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from mmauto.store.lasting import lasting
from mmauto.store.schema import epochs, trials
from mmauto.store.shapes import ANYTHING, COSTS, TASK, shaped
from mmauto.values import TargetSpec, TaskView
from mmauto.views import Costs, Failure


def failure_of(row: Row[Any]) -> Failure | None:
    """Why a trial failed; None where it did not."""
    if row.failure_kind is None:
        return None
    return Failure(row.failure_kind, row.failure_message, row.failure_traceback or "")


def params_of(row: Row[Any], where: str) -> Mapping[str, Any]:
    """A trial's candidate; ``where`` is its database."""
    return shaped(row.params, ANYTHING, f"trial {row.id}'s params", where)  # type: ignore[no-any-return]


def costs_of(row: Row[Any], where: str) -> Costs:
    """What a trial cost; ``where`` is its database."""
    return Costs(**shaped(row.costs, COSTS, f"trial {row.id}'s costs", where))


def task_of(stored: Any, where: str) -> TaskView:
    """A task that was stored with `dataclasses.asdict`; ``where`` is its database.

    Raises:
        StoreError: it is none.
    """
    shaped(stored, TASK, "task", where)
    shaped(stored["primary"], tuple(stored["targets"]), "task.primary", where)
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
    for trial, value, loss in lasting(engine, lambda connection: connection.execute(query).all()):
        curves.setdefault(trial, []).append(value)
        if loss is not None:
            losses.setdefault(trial, []).append(loss)
    return {t: tuple(v) for t, v in curves.items()}, {t: tuple(v) for t, v in losses.items()}


def begun(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The ids of trials that are there already, in the order of ``rows``; empty unless all are."""
    query = select(trials.c.id, trials.c.arm, trials.c.purpose, trials.c.number).where(
        (trials.c.study_id == rows[0]["study_id"])
        & trials.c.number.in_({row["number"] for row in rows})
    )
    there = {(r.arm, r.purpose, r.number): r.id for r in connection.execute(query)}
    wanted = [(row["arm"], row["purpose"], row["number"]) for row in rows]
    return [there[key] for key in wanted] if there.keys() >= set(wanted) else []


def writable(text: str | None) -> str | None:
    """Text that any database takes: PostgreSQL has no NUL, and nothing encodes a lone surrogate."""
    if text is None:
        return None
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
