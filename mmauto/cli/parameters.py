"""What flags accept: names, durations, shares, roles."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}


class Names(click.ParamType[tuple[str, ...]]):
    """Comma-separated names; a name holds no comma (study files have lists for that)."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """``"a,b"`` -> ``("a", "b")``."""
        if not isinstance(value, str):
            return tuple(value)
        return tuple(part.strip() for part in value.split(",") if part.strip())


class Duration(click.ParamType[float]):
    """Seconds, or ``90s``, ``10m``, ``2h``."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Text -> seconds."""
        found = re.fullmatch(r"(-?\d[\d.]*)\s*([smh]?)", str(value).strip())
        if found is None or found[1].count(".") > 1:
            self.fail(f"a duration is seconds, or like 90s, 10m, 2h; {value!r} is not", param, ctx)
        return float(found[1]) * UNITS[found[2]]


class Share(click.ParamType[float]):
    """``5%`` or ``0.05``."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Text -> a share of 1."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"a share is like 5% or 0.05; {value!r} is not", param, ctx)
        return share


class Assignment(click.ParamType[tuple[str, str]]):
    """``COLUMN=ROLE``."""

    name = "assignment"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        """Text -> (column, role)."""
        if isinstance(value, tuple):
            return value
        column, sign, role = str(value).rpartition("=")
        if not (column and sign and role):
            self.fail(f"a role is given as COLUMN=ROLE; {value!r} is not", param, ctx)
        return column.strip(), role.strip()
