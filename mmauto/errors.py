"""Everything that a user can cause ends as one of these, and the CLI prints it as one sentence.

A message says the rule, what was given, where it came from and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MmautoError(Exception):
    """The base of every error that mmauto raises on purpose; its text is complete for a user."""


class ConfigError(MmautoError):
    """A flag, a study file or an argument of the Python API asks for what cannot be."""


class DataError(MmautoError):
    """The user's table, images or other samples cannot be used as they are."""


class PluginError(MmautoError):
    """A plugin breaks its contract; the text names the component and its distribution."""


class StoreError(MmautoError):
    """A stored study cannot be opened, written or continued."""


def unknown(
    what: str, given: str, available: Iterable[str], *, source: str = "", hint: str = ""
) -> str:
    """The sentence for a name that is not there, with the nearest one that is.

    Args:
        what: the noun, e.g. ``"fusion"``.
        given: the name that was asked for.
        available: the names that exist.
        source: where the name came from, e.g. ``"--fusions"``.
        hint: what else to say, e.g. which plugins failed to load.
    """
    names = sorted(available)
    near = difflib.get_close_matches(given, names, n=1)
    parts = [f"unknown {what} {given!r}" + (f" (from {source})" if source else "")]
    if near:
        parts.append(f"did you mean {near[0]!r}?")
    parts.append(f"available: {', '.join(names) or 'none'}")
    if hint:
        parts.append(hint)
    return "; ".join(parts)
