"""The rows that were measured so far: kept in ``results.json``, joined by those measured anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmauto.bench.machine import Machine, Rate
from mmauto.bench.row import Grid, Row
from mmauto.errors import MmautoError


@dataclass(frozen=True)
class Measured:
    """A row, and what it was measured on.

    Attributes:
        load: processors that something else kept busy just before.
        day: the UTC day, ``2026-01-31``.
        quick: tiny sizes, which show that the row runs and nothing else.
    """

    row: Row | Grid
    machine: Machine
    load: float
    day: str
    quick: bool

    @property
    def key(self) -> tuple[str, str]:
        """Rows of a GPU stand beside those of a processor."""
        return self.row.name, self.machine.kind


def merged(
    before: Iterable[Measured], fresh: Iterable[Measured], order: Sequence[str]
) -> list[Measured]:
    """Rows measured anew take the place of those measured before; all others stay.

    Args:
        order: names of the rows that there are; rows of other names can be measured no more, and
            go.
    """
    known = {one.key: one for one in before}
    known |= {one.key: one for one in fresh}
    return [
        known[name, kind] for name in order for kind in ("cpu", "cuda") if (name, kind) in known
    ]


def read(file: Path) -> list[Measured]:
    """The rows of ``results.json``; none where there is no file.

    Raises:
        MmautoError: it holds something else.
    """
    if not file.exists():
        return []
    try:
        return [_measured(row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise MmautoError(
            f"the results of a benchmark join those measured before, {file} holds none that can be "
            f"read ({error!r}); restore it, or give another folder with --out"
        ) from error


def write(file: Path, rows: Iterable[Measured]) -> None:
    """Write ``results.json``; see `read`."""
    values = [
        {
            **asdict(one.row),
            "measured": {
                "machine": asdict(one.machine), "load": one.load, "day": one.day,
                "quick": one.quick,
            },
        }
        for one in rows
    ]  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"rows": values}, indent=1) + "\n", encoding="utf-8")


def _measured(values: Mapping[str, Any]) -> Measured:
    about, row = values["measured"], {n: v for n, v in values.items() if n != "measured"}
    rates = tuple(Rate(**rate) for rate in about["machine"]["rates"])
    machine = Machine(**{**about["machine"], "rates": rates})
    kind = Row if "ratio" in row else Grid
    return Measured(kind(**row), machine, about["load"], about["day"], about["quick"])
