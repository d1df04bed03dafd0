"""Which kind of failure an exception is, and whose."""

from __future__ import annotations

import errno
import traceback

from mmauto.engine.jobs import Candidate
from mmauto.engine.memory import WholeBatchError, out_of_memory
from mmauto.engine.objective import NotFiniteError
from mmauto.errors import DataError
from mmauto.registry import Entry, Registry
from mmauto.views import Failure, FailureKind

TAIL = 12


def classify(error: BaseException, registry: Registry, candidate: Candidate) -> Failure:
    """The stored form of what ended a trial; the message names the component that raised."""
    kind: FailureKind = "plugin"
    if out_of_memory(error) or isinstance(error, WholeBatchError):
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
    if isinstance(error, NotFiniteError) and error.component:
        owner = described(registry.entry(*error.component))
    else:
        owner = culprit(error, registry, candidate)
    return Failure(kind, f"{owner}: {text}" if owner else text, "\n".join(tail))


def culprit(error: BaseException, registry: Registry, candidate: Candidate) -> str:
    """``fusion 'gmu' (mmauto-gmu 0.1)`` where code of the candidate's component raised, else empty.

    A component is known by the modules of its class and of those that it inherits from: several may
    stand in one module, but a candidate has only some of them.
    """
    modules = {}
    for kind, name in members(candidate):
        entry = registry.entry(kind, name)
        for part in type(entry.component).__mro__:
            if not part.__module__.startswith(("mmauto.", "abc", "builtins")):
                modules[part.__module__] = entry
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = modules.get(frame.f_globals.get("__name__", ""))
        if owner is not None:
            found = described(owner)
    return found


def described(entry: Entry) -> str:
    """``kind 'name' (distribution version)``."""
    return f"{entry.kind} {entry.name!r} ({entry.distribution} {entry.version})"


def members(candidate: Candidate) -> list[tuple[str, str]]:
    """(kind, name) of every component of a candidate."""
    return [
        *(("encoder", candidate.encoder(key)) for key in candidate.modalities),
        *(("regulariser", name) for name in candidate.regularisers),
        (candidate.kind, candidate.component),
    ]
