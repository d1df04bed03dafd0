"""``mmauto plugins``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mmauto.cli.plugins_check import check
from mmauto.cli.plugins_new import new
from mmauto.cli.plugins_show import show
from mmauto.registry import Registry, load_registry

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

OWN = "mmauto"
"""The distribution that needs no naming: its components come with the program."""


@click.group("plugins", invoke_without_command=True)
@click.option("--kind", help="List only one kind, e.g. fusion.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def command(context: click.Context, kind: str | None, as_json: bool) -> None:
    """List encoders, fusions and other components, and plugins that failed to load.

    Its commands show one component, check it, or start a package with one of your own.
    """
    if context.invoked_subcommand is None:
        _list(kind, as_json)
    elif kind is not None or as_json:
        context.fail(f"--kind and --json before {context.invoked_subcommand!r} belong behind it")


for subcommand in (show, check, new):
    command.add_command(subcommand)


def _list(kind: str | None, as_json: bool) -> None:
    from mmauto.errors import ConfigError, unknown
    from mmauto.registry import KINDS

    if kind is not None and kind not in KINDS:
        raise ConfigError(unknown("kind", kind, KINDS, source="--kind"))
    registry = load_registry()
    rows = [row for row in component_rows(registry) if kind in (None, row["kind"])]
    failures = [
        {"plugin": f.plugin, "version": f.version, "error": f.message} for f in registry.failures
    ]
    if as_json:
        click.echo(json.dumps({"components": rows, "failures": failures}, indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(listing(rows))
    for failure in failures:
        console.print(
            Text(f"not loaded: {failure['plugin']} {failure['version']}: {failure['error']}", "red")
        )


def component_rows(registry: Registry) -> list[dict[str, Any]]:
    """One mapping a component, as in ``--json``."""
    return [
        {
            "kind": entry.kind, "name": entry.name, "role": entry.role,
            "summary": entry.component.summary, "distribution": entry.distribution,
            "version": entry.version, "reference": entry.component.reference,
            "missing": entry.component.missing(),
        }
        for found in registry.entries.values()
        for entry in found.values()
    ]  # fmt: skip


def listing(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """The components under a heading for each kind; summaries fold, names never do."""
    from rich.table import Table
    from rich.text import Text

    # one grid, so that columns stand under each other across kinds
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("name", "role"):
        grid.add_column(column, no_wrap=True)
    grid.add_column("summary", overflow="fold")
    kind = ""
    for row in rows:
        if row["kind"] != kind:
            if kind:
                grid.add_row()
            kind = row["kind"]
            grid.add_row(Text(kind, "bold"))
        grid.add_row(Text(f"  {row['name']}"), Text(row["role"], "cyan"), _summary(row))
    return grid


def _summary(row: dict[str, Any]) -> Text:
    from rich.text import Text

    text = Text(row["summary"])
    if row["distribution"] != OWN:
        text.append(f" ({row['distribution']} {row['version']})", "dim")
    if row["missing"]:
        text.append(f"\nnot usable yet: {row['missing']}", "yellow")
    return text
