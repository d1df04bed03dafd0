"""``mmauto plugins``."""

from __future__ import annotations

import json
from typing import Any

import click

from mmauto.registry import Registry, load_registry


@click.command("plugins")
@click.option("--kind", help="Only one kind, e.g. fusion.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List encoders, fusions and other components, and plugins that failed to load."""
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
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for title in ("kind", "name", "stage or modality", "summary", "from"):
        table.add_column(title, overflow="fold")
    for row in rows:
        missing = f" [needs: {row['missing']}]" if row["missing"] else ""
        table.add_row(
            row["kind"], row["name"], row["role"], Text(row["summary"] + missing),
            f"{row['distribution']} {row['version']}",
        )  # fmt: skip
    console.print(table)
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
