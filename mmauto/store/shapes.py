"""What JSON in a row must look like: a database may come from a stranger, or be changed by hand."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, NoReturn, TypeAlias, get_args

from mmauto.errors import StoreError
from mmauto.store.place import HOME
from mmauto.store.seconds import SPENT
from mmauto.values import Kind
from mmauto.views import Costs

Shape: TypeAlias = Any
"""A type, a tuple of texts to choose from, a list of one shape, or a `Record`."""


@dataclass(frozen=True)
class Record:
    """A JSON object.

    Attributes:
        needed: name -> shape.
        known: the same, of those that may be absent.
        others: the shape of all others; None: there are none.
    """

    needed: Mapping[str, Shape] = field(default_factory=dict)
    known: Mapping[str, Shape] = field(default_factory=dict)
    others: Shape | None = None


NUMBER = int | float
WORDS = {
    Record: "an object", list: "a list", str: "a text", bool: "true or false", NUMBER: "a number",
    int: "a whole number",
}  # fmt: skip

ANYTHING = Record(others=object)
NUMBERS = Record(others=NUMBER)
TASK = Record(
    {
        "name": str, "modalities": Record(others=str), "primary": str, "metric": str,
        "targets": Record(
            others=Record({"name": str, "kind": get_args(Kind), "classes": [str]}),
        ),
    },
    {"simulated": bool},
)  # fmt: skip
CONFIG = ANYTHING
ENVIRONMENT = Record(known={"versions": ANYTHING}, others=object)
FACTS = Record(
    known={
        "rows": NUMBERS, "ceiling": NUMBERS, "learned": Record(others=[int]), "fingerprint": str,
        "licence": str, "notes": [str], SPENT: NUMBERS,
        "findings": [Record({"kind": str, "text": str}, {"action": str, "warning": bool})],
        "roles": [Record({"column": str, "role": str, "reason": str})],
        "optimism": Record(
            others=Record({"chosen_from": int, "best": NUMBER, "corrected": NUMBER})
        ),
        "offered": Record(others=Record({"component": str, "candidates": [ANYTHING]})),
        HOME: Record({"token": str, "folder": str}),
    },
    others=object,
)  # fmt: skip
COSTS = Record(known={one.name: NUMBER for one in fields(Costs)})


class Facts(dict[str, Any]):
    """A study's facts; what reads one that it needs names it where it is not there."""

    def __init__(self, stored: Mapping[str, Any], where: str):
        super().__init__(stored)
        self.where = where

    def __missing__(self, name: str) -> NoReturn:
        raise _altered(f"facts.{name}", "there", "nothing", self.where)


def shaped(value: Any, shape: Shape, what: str, where: str) -> Any:
    """``value``, once all of it is seen to have a shape.

    Args:
        what: the value is called, e.g. its column.
        where: it comes from, without a password.

    Raises:
        StoreError: a part of it has another shape.
    """
    if isinstance(shape, tuple):
        if value not in shape:
            raise _altered(what, f"one of {', '.join(shape)}", reprlib.repr(value), where)
        return value
    kind: Any = shape if isinstance(shape, type | UnionType) else type(shape)
    if not isinstance(value, dict if kind is Record else kind):
        raise _altered(what, WORDS[kind], reprlib.repr(value), where)
    if isinstance(shape, list):
        for place, one in enumerate(value):
            shaped(one, shape[0], f"{what}[{place}]", where)
    elif isinstance(shape, Record):
        for name in shape.needed:
            if name not in value:
                raise _altered(f"{what}.{name}", "there", "nothing", where)
        for name, one in value.items():
            inner = shape.needed.get(name) or shape.known.get(name) or shape.others
            if inner is None:
                known = ", ".join([*shape.needed, *shape.known])
                raise _altered(f"a name in {what}", f"one of {known}", reprlib.repr(name), where)
            if inner is not object:
                shaped(one, inner, f"{what}.{name}", where)
    return value


def _altered(what: str, rule: str, given: str, where: str) -> StoreError:
    return StoreError(
        f"what a study stores must be as mmauto wrote it: {what} must be {rule}, {given} was given "
        f"in {where}; restore it from a copy"
    )
