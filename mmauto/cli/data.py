"""``mmauto data``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from mmauto.cli.parameters import Assignment, Names, Share


@click.group("data")
def command() -> None:
    """Look at data before searching on it."""


@command.command("check")
@click.argument("table")
@click.option(
    "--target", type=Names(), help="Columns to predict; default: label, target, class ..."
)
@click.option(
    "--role",
    "roles",
    type=Assignment(),
    multiple=True,
    metavar="COLUMN=ROLE",
    help="Over the guess: image, text, numeric, categorical, group, split, id, domain or ignore.",
)
@click.option("--image-folder", help="Where image paths start; default: the table's folder.")
@click.option("--max-bad", type=Share(), help="Share of unusable images let through (default 5%).")
@click.option("--separator", help="Between the labels of a multilabel target (default |).")
@click.option("--seed", type=int, help="Seed of the split (default 0).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(table: str, target: tuple[str, ...] | None, as_json: bool, **flags: Any) -> None:
    """Show what each column of TABLE would be used as, and what is wrong with the data.

    Nothing is trained or written. Data that a search would refuse is refused with the same sentence
    and exit code 2.
    """  # fmt: skip
    from mmauto.config import from_mapping
    from mmauto.registry import load_registry
    from mmauto.tuning.prepare import prepare

    given = {key: value for key, value in flags.items() if value not in (None, ())}
    given["roles"] = dict(given.get("roles", ()))
    settings = {**given, "data": table, "target": target or ()}
    prepared = prepare(from_mapping(settings), load_registry(), "cpu")
    roles, found = prepared.setup.dataset.roles, prepared.findings
    if as_json:
        about = {
            "table": table, "target": prepared.task.primary,
            "kind": prepared.task.targets[prepared.task.primary].kind,
            "classes": list(prepared.task.targets[prepared.task.primary].classes),
            "rows": prepared.rows, "inputs": dict(prepared.task.modalities),
            "roles": [asdict(guess) for guess in roles],
            "findings": [asdict(finding) for finding in found],
        }  # fmt: skip
        click.echo(json.dumps(about, indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    from mmauto.cli.findings import show_data

    console = Console()
    spec = prepared.task.targets[prepared.task.primary]
    rows = ", ".join(f"{count:,} {split}" for split, count in prepared.rows.items())
    classes = f" of {len(spec.classes)} classes" if spec.classes else ""
    console.print(Text(f"{table}: {rows}; {spec.name} is {spec.kind}{classes}", style="bold"))
    show_data(console, roles, found)
    warnings = sum(finding.warning for finding in found)
    console.print(Text(f"{warnings} warnings, {len(found) - warnings} notes", style="dim"))
