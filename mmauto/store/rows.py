"""What stands in a row, as the values that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

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
