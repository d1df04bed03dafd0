"""Which column of a table plays which role: as named, else as guessed, leaks left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmauto.data.cells import clean
from mmauto.data.dataset import TargetColumn
from mmauto.data.formats import RawTable
from mmauto.data.leaks import column_leak
from mmauto.data.roles import ONCE, ROLES, guess_roles
from mmauto.errors import DataError, unknown
from mmauto.findings import Finding, RoleGuess

INPUTS = ("image", "text", "tabular")


@dataclass(frozen=True)
class Named:
    """What the user said about columns.

    Attributes:
        inputs: image, text and tabular -> columns. Where any is named, no other column is an input.
        marks: group, split, id and domain -> a column; None: decide by name; empty: none.
        roles: column -> role, over all guesses.
    """

    target: Sequence[str]
    inputs: Mapping[str, Sequence[str]]
    marks: Mapping[str, str | None]
    roles: Mapping[str, str]

    @property
    def guessing(self) -> bool:
        """No input is named, so columns find their roles by name and content."""
        return not any(self.inputs.values())


def check_named(table: RawTable, named: Named) -> None:
    """Refuse columns that are not there, have two roles or an unknown one, and no target.

    Raises:
        DataError: as said.
    """
    taken: dict[str, str] = {}
    marks = {role: [name] for role, name in named.marks.items() if name}
    for role, names in {"target": named.target, **named.inputs, **marks}.items():
        for name in names:
            _known(table, name, role, f"; name another one with --{role}")
            if name in taken:
                raise DataError(
                    f"a column has one role, {name!r} of {table.path} is named as {taken[name]} "
                    f"and as {role}; leave one of them out"
                )
            taken[name] = role
    for name, role in named.roles.items():
        _known(table, name, "role", "")
        if role not in ROLES:
            raise DataError(unknown("role", role, ROLES, source=f"--role {name}={role}"))
        kind = taken.get(name) == "tabular" and role in ("numeric", "categorical")
        if name in taken and not kind:
            raise DataError(
                f"a column has one role, {name!r} of {table.path} is named as {taken[name]} and "
                f"by --role; leave one of them out"
            )
    if not named.target:
        raise DataError(
            f"a task needs a target, none is named for {table.path}; name the column to predict "
            f"with --target, it has {', '.join(table.values)}"
        )


def _known(table: RawTable, name: str, role: str, hint: str) -> None:
    if name not in table.values:
        raise DataError(
            unknown("column", name, table.values, source=f"{role}, {table.path}") + hint
        )


def raw_cells(table: RawTable, name: str) -> list[Any]:
    """A column's cells, with pictures' bytes as they are."""
    if any(isinstance(value, bytes) for value in table.values[name]):
        return [value if isinstance(value, bytes) else clean(value) for value in table.values[name]]
    return list(table.cells(name))


def assign(
    table: RawTable, named: Named, targets: Mapping[str, TargetColumn]
) -> tuple[list[RoleGuess], list[Finding]]:
    """A role for every column of the table, and the columns that give the label away.

    A guessed input that does so is left out; a named one is kept, with a warning.

    Raises:
        DataError: no column can be an input.
    """
    roles = _guessed(table, named) if named.guessing else _as_named(table, named)
    primary = next(iter(targets.values()))
    findings = []
    for place, guess in enumerate(roles):
        if guess.role not in ("text", "numeric", "categorical", "tabular"):
            continue
        cells = table.cells(guess.column)
        leak = None if any(isinstance(cell, tuple) for cell in cells) else column_leak(
            guess.column, cells, primary
        )  # fmt: skip
        if leak is None:
            continue
        strength, text = leak
        said = f"{text} (AUROC {strength:.2f} out of fold)"
        if guess.reason == "named":
            action = "kept, since it was named; make sure that it is known before the label is"
        else:
            roles[place] = replace(
                guess, role="ignore", reason="gives the label away (see the findings)"
            )
            action = (
                f"left out; keep it with --role {guess.column}={guess.role} if it is known before "
                "the label is"
            )
        findings.append(Finding("leak", said, action, warning=True))
    if not any(
        guess.role in ("image", "text", "numeric", "categorical", "tabular") for guess in roles
    ):
        raise DataError(
            f"a task needs inputs, no column of {table.path} can be one: "
            f"{'; '.join(f'{g.column} ({g.reason})' for g in roles if g.role == 'ignore')}; name "
            "columns with --image, --text or --tabular"
        )
    return roles, findings


def _guessed(table: RawTable, named: Named) -> list[RoleGuess]:
    cells = {name: raw_cells(table, name) for name in table.values}
    said = {name: role for role, name in named.marks.items() if name} | dict(named.roles)
    off = {role for role, name in named.marks.items() if name == ""}
    found = guess_roles(cells, said, named.target)
    return [
        replace(guess, role="ignore", reason=f"no {guess.role} column is wanted")
        if guess.role in off and guess.column not in named.roles
        else guess
        for guess in found
    ]


def _as_named(table: RawTable, named: Named) -> list[RoleGuess]:
    said = {name: role for role, names in named.inputs.items() for name in names}
    said |= {name: role for role, name in named.marks.items() if name} | dict(named.roles)
    roles = []
    for name in table.values:
        if name in named.target:
            roles.append(RoleGuess(name, "target", "named"))
        elif name in said:
            roles.append(RoleGuess(name, said[name], "named"))
        elif name in ONCE and named.marks[name] is None:
            roles.append(RoleGuess(name, name, "its name"))
        else:
            roles.append(RoleGuess(name, "ignore", "not named"))
    return roles
