"""The built-in task ``medical``: chest radiographs with notes and vitals, simulated or your own."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Task, hookimpl


@hookimpl
def mmauto_tasks() -> Sequence[Task]:
    """The task ``medical``."""
    from mmauto_medical.task import Medical

    return [Medical()]
