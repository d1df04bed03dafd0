"""``mmauto cache``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mmauto.engine.entries import Entry

AGES = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


@click.group("cache", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List or clear what encoders have computed; MMAUTO_CACHE_LIMIT bounds its size (20GB)."""
    if context.invoked_subcommand is None:
        context.invoke(list_entries)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_entries(as_json: bool = False) -> None:
    """Show every entry, its size and when it was last used; the same as `mmauto cache`."""
    from mmauto.data.places import cache_limit, feature_folder
    from mmauto.engine.entries import entries

    folder, limit = feature_folder(), cache_limit()
    found = entries(folder)
    rows = [row(entry) for entry in found]
    total = sum(entry.size for entry in found)
    if as_json:
        about = {"folder": str(folder), "limit": limit, "size": total, "entries": rows}
        click.echo(json.dumps(about, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if rows:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        for title in ("encoder", "modality"):
            table.add_column(title, no_wrap=True)
        for title in ("rows", "size", "last used"):
            table.add_column(title, justify="right", no_wrap=True)
        for entry, line in zip(found, rows, strict=True):
            rest = (f"{entry.rows:,}", words(entry.size), ago(time.time() - entry.used))
            table.add_row(Text(line["encoder"]), Text(line["modality"]), *rest)
        console.print(table)
        console.print(Text(f"{count(found)}, {words(total)} of {words(limit)}"))
    else:
        console.print(Text("The cache is empty; a search fills it with what encoders compute."))
    console.print(Text(f"folder: {folder}", style="dim"), soft_wrap=True)


@command.command("clear")
@click.option("--encoder", metavar="NAME", help="Only what this encoder has computed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(encoder: str | None, yes: bool) -> None:
    """Remove entries; the next search computes them anew.

    Without --encoder, all else that was remembered goes too: the forms in which encoders run
    fastest, fitted vocabularies, what pictures look like.
    """
    from mmauto.data.places import feature_folder
    from mmauto.engine.entries import entries, remove, remove_leftovers, remove_memories
    from mmauto.errors import ConfigError, unknown

    folder = feature_folder()
    found = entries(folder)
    names = {row(entry)["encoder"] for entry in found}
    if encoder is not None and encoder not in names:
        hint = "see mmauto cache list"
        raise ConfigError(
            unknown("encoder in the cache", encoder, names, source="--encoder", hint=hint)
        )
    gone = [entry for entry in found if encoder in (None, row(entry)["encoder"])]
    size = words(sum(entry.size for entry in gone))
    if gone and not yes:
        click.confirm(f"Remove {count(gone)}, {size}?", abort=True)
    for entry in gone:
        remove(entry.place)
    remove_leftovers(folder)
    if encoder is None:
        remove_memories(folder)
    click.echo(f"removed {count(gone)}, {size}" if gone else "The cache is empty already.")


def row(entry: Entry) -> dict[str, Any]:
    """An entry as JSON values."""
    return {
        "encoder": str(entry.about.get("encoder", "?")),
        "modality": str(entry.about.get("modality", "?")),
        "params": entry.about.get("params", {}),
        "form": str(entry.about.get("form", "plain")),
        "rows": entry.rows, "size": entry.size, "used": entry.used, "name": entry.place.name,
    }  # fmt: skip


def count(found: list[Entry]) -> str:
    """So many entries."""
    return f"{len(found)} {'entry' if len(found) == 1 else 'entries'}"


def words(size: float) -> str:
    """Bytes in a unit that a reader likes: 1.2 GB."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def ago(seconds: float) -> str:
    """How long since."""
    for length, unit in AGES:
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' * (number > 1)} ago"
    return "just now"
