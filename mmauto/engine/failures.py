"""Which kind of failure an exception is, and whose."""

from __future__ import annotations

import errno
import traceback

from mmauto.engine.train import NotFiniteError
from mmauto.errors import DataError
from mmauto.registry import Registry
from mmauto.views import Failure, FailureKind

TAIL = 12


def classify(error: BaseException, registry: Registry) -> Failure:
    """The stored form of what ended a trial; the message names the component that raised."""
    import torch

    kind: FailureKind = "plugin"
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _allocation(error):
        kind = "oom"
    elif isinstance(error, NotFiniteError):
        kind = "nan"
    elif isinstance(error, DataError):
        kind = "data"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        kind = "disk"
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    tail = "".join(lines).splitlines()[-TAIL:]
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    owner = culprit(error, registry)
    return Failure(kind, f"{owner}: {text}" if owner else text, "\n".join(tail))


def culprit(error: BaseException, registry: Registry) -> str:
    """``fusion 'gmu' (mmauto-gmu 0.1)`` where a plugin's own code raised; else empty."""
    modules = {
        type(entry.component).__module__: entry
        for found in registry.entries.values()
        for entry in found.values()
    }
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        entry = modules.get(frame.f_globals.get("__name__", ""))
        if entry is not None:
            found = f"{entry.kind} {entry.name!r} ({entry.distribution} {entry.version})"
    return found


def _allocation(error: BaseException) -> bool:
    # torch reports a failed allocation on a CPU as a plain RuntimeError
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)
