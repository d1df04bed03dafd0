"""Search spaces are declared data: a name mapped to a ``Float``, an ``Int`` or a ``Choice``.

Every dimension has a default; the defaults together are an arm's first trial. The host maps a
space to its sampler, so a plugin never sees Optuna.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str
Params: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Float:
    """A real number in ``[low, high]``.

    Attributes:
        log: sample on a logarithmic scale (``low`` must be positive).
        packs: trials that differ in it can share a pack: the component reads the value from a
            registered buffer, or it is the rate of an ``nn.Dropout``, or the engine's own learning
            rate or weight decay.
    """

    low: float
    high: float
    default: float
    log: bool = False
    packs: bool = False

    def __post_init__(self) -> None:
        _check_range(self)

    def ends(self) -> tuple[Value, ...]:
        """The extreme values, for checks at the corners of a space."""
        return (self.low, self.high)

    def admits(self, value: Value) -> bool:
        """Whether ``value`` lies in this dimension."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= float(value) <= self.high


@dataclass(frozen=True)
class Int:
    """A whole number in ``[low, high]``, in steps of ``step``."""

    low: int
    high: int
    default: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_range(self)
        if self.log and self.step != 1:
            raise ValueError(f"an Int is either log or stepped, not both: {self}")

    def ends(self) -> tuple[Value, ...]:
        """The extreme values, for checks at the corners of a space."""
        return (self.low, self.low + (self.high - self.low) // self.step * self.step)

    def admits(self, value: Value) -> bool:
        """Whether ``value`` lies in this dimension."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Choice:
    """One of ``options``: booleans, numbers or strings, compared by value.

    Attributes:
        open: a study file may name any other text too (a model's name, a file); a search that is
            not told so keeps to ``options``.
    """

    options: tuple[Value, ...]
    default: Value
    open: bool

    def __init__(
        self,
        options: tuple[Value, ...] | list[Value],
        default: Value | None = None,
        open: bool = False,
    ):
        if not options:
            raise ValueError("a Choice needs at least one option, none was given")
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "default", self.options[0] if default is None else default)
        object.__setattr__(self, "open", open)
        if self.default not in self.options:
            raise ValueError(f"a Choice's default must be one of its options: {self}")

    def ends(self) -> tuple[Value, ...]:
        """All options: each of them is a corner."""
        return self.options

    def admits(self, value: Value) -> bool:
        """Whether ``value`` is one of the options, of the same type, or any text where open."""
        listed = any(type(value) is type(option) and value == option for option in self.options)
        return listed or (self.open and isinstance(value, str))


Dimension: TypeAlias = Float | Int | Choice
Space: TypeAlias = Mapping[str, Dimension]


def _check_range(dimension: Float | Int) -> None:
    if not dimension.low <= dimension.default <= dimension.high:
        raise ValueError(f"a default must lie between low and high: {dimension}")
    if dimension.log and dimension.low <= 0:
        raise ValueError(f"a logarithmic dimension needs low > 0: {dimension}")


def defaults(space: Space) -> dict[str, Value]:
    """The default of every dimension: what runs when nothing is searched."""
    return {name: dimension.default for name, dimension in space.items()}


def corners(space: Space, limit: int = 64) -> Iterator[dict[str, Value]]:
    """The corners of a space; beyond ``limit``, each end once with the rest default."""
    base = defaults(space)
    ends = {name: dimension.ends() for name, dimension in space.items()}
    total = 1
    for values in ends.values():
        total *= len(values)
    if total <= limit:
        for combination in itertools.product(*ends.values()):
            yield dict(zip(ends, combination, strict=True))
        return
    yield base
    for name, values in ends.items():
        for value in values:
            yield {**base, name: value}


def scoped(prefix: str, space: Space) -> dict[str, Dimension]:
    """The same space with every name put under ``prefix/``."""
    return {f"{prefix}/{name}": dimension for name, dimension in space.items()}


def unscoped(prefix: str, params: Params) -> dict[str, Value]:
    """The parameters that stand under ``prefix/``, without the prefix."""
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in params.items() if name.startswith(start)}
