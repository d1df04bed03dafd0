"""Spaces and arms as a study file writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmauto.errors import ConfigError, unknown
from mmauto.space import Choice, Dimension, Float, Int

MOST_NAME = 100
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MOST_NAME - 1}}}")
"""A name that is a folder inside another one, whatever it says; for ``fullmatch``."""


def dimension(where: str, given: Any) -> Dimension:
    """A dimension from a study file: a value, a list, or ``{low, high, log, default}``.

    Raises:
        ConfigError: it is none of these.
    """
    try:
        if isinstance(given, Mapping):
            rest = dict(given)
            low, high = rest.pop("low"), rest.pop("high")
            log = bool(rest.pop("log", False))
            if log and not low > 0:
                raise ValueError("a log scale begins above 0")
            whole = isinstance(low, int) and isinstance(high, int)
            middle = (low * high) ** 0.5 if log else (low + high) / 2
            default = rest.pop("default", round(middle) if whole else middle)
            if rest:
                raise ValueError(f"unknown part {next(iter(rest))!r}")
            if whole:
                return Int(low, high, default, log)
            return Float(float(low), float(high), float(default), log)
        options = (
            tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
        )
        if not all(isinstance(option, bool | int | float | str) for option in options):
            raise ValueError("choices must be numbers, texts or true/false")
        return Choice(options)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"{where} must be a value, a list of choices, or {{low = .., high = .., log = ..}}; "
            f"{given!r} is not ({error})"
        ) from error


def check_arm(where: str, name: str, given: Any) -> None:
    """Refuse an arm of a study's own that is written wrongly; components are checked later.

    Raises:
        ConfigError: as said.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: an arm's name must be letters, digits, '.', '_' or '-'")
    if not isinstance(given, Mapping) or not isinstance(given.get("fusion"), str):
        raise ConfigError(f'{where} must be a table with a fusion, e.g. fusion = "concat_mlp"')
    parts = ("fusion", "modalities", "space")
    for key in given:
        if key not in parts:
            raise ConfigError(unknown("part of an arm", key, parts, source=where))
    keys, space = given.get("modalities", []), given.get("space", {})
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"{where}.modalities must be a list of names, it is {keys!r}")
    if not isinstance(space, Mapping):
        raise ConfigError(f"{where}.space must be a table, it is {space!r}")
    for parameter, value in space.items():
        dimension(f"{where}.space.{parameter}", value)
