"""A table's roles and findings in a terminal: before a search, and for ``mmauto data check``."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmauto.findings import Finding, RoleGuess

OVERRIDE = (
    "another role: --role COLUMN=ROLE "
    "(image, text, numeric, categorical, group, split, id, domain, ignore)"
)


def show_data(console: Console, roles: Sequence[RoleGuess], findings: Sequence[Finding]) -> None:
    """Roles where a table was read, then one paragraph a finding, warnings first."""
    if roles:
        console.print(_roles(roles))
        if any(guess.reason not in ("named", "not named") for guess in roles):
            console.print(Text(OVERRIDE, style="dim"))
    for found in findings:
        mark = Text("warning: ", "bold yellow") if found.warning else Text("note: ", "cyan")
        console.print(mark + Text(str(found), "default"))


def _roles(roles: Sequence[RoleGuess]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("column", overflow="fold")
    table.add_column("role", no_wrap=True)
    table.add_column("because", overflow="fold")
    for guess in roles:
        used = guess.role != "ignore"
        table.add_row(
            Text(guess.column, "bold" if used else "dim"),
            Text(guess.role, "cyan" if used else "dim"),
            Text(guess.reason, "" if used else "dim"),
        )
    return table
