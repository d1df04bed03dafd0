"""The generated parts of the documents: ``python tests/docs.py --write`` after a change.

A part stands between ``<!-- NAME: generated -->`` and ``<!-- /NAME -->``; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent


def component_table() -> str:
    """Every component that this distribution brings, from the registry."""
    from mmauto.cli.plugins import component_rows
    from mmauto.registry import load_registry

    lines = [
        "| kind | name | stage or modality | what it is | reference |",
        "|---|---|---|---|---|",
    ]
    for row in component_rows(load_registry()):
        if row["distribution"] == "mmauto" and row["kind"] != "section":
            cells = (row["kind"], f"`{row['name']}`", row["role"], row["summary"], row["reference"])
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def cli_reference() -> str:
    """``--help`` of every command."""
    from mmauto.cli.main import COMMANDS, cli

    parts = []
    for name in ("", *COMMANDS):
        root = click.Context(
            cli,
            info_name="mmauto",
            terminal_width=96,
            max_content_width=96,
            **cli.context_settings,
        )
        command = cli if not name else cli.get_command(root, name)
        context = root if not name else click.Context(command, info_name=name, parent=root)
        context.terminal_width = context.max_content_width = 96
        parts.append(f"```\n{command.get_help(context)}\n```")
        if name and isinstance(command, click.Group):
            for inner in command.commands.values():
                below = click.Context(inner, info_name=inner.name, parent=context)
                below.terminal_width = below.max_content_width = 96
                parts.append(f"```\n{inner.get_help(below)}\n```")
    return "\n\n".join(parts)


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "components": ("README.md", component_table),
    "cli": ("README.md", cli_reference),
}


def updated(name: str) -> tuple[Path, str, str]:
    """The file of a part, its text now, and its text with the part made anew."""
    file, make = PARTS[name]
    path = ROOT / file
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{file} has no part called {name}")
    return path, text, pattern.sub(lambda found: found[1] + make() + "\n" + found[2], text)


def main() -> None:
    """Write all parts, or say which are stale."""
    stale = []
    for name in PARTS:
        path, old, new = updated(name)
        if old != new:
            stale.append(name)
            if "--write" in sys.argv:
                path.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{'written' if '--write' in sys.argv else 'stale'}: {stale or 'nothing'}\n")


if __name__ == "__main__":
    main()
