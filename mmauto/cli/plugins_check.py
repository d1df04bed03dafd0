"""``mmauto plugins check``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mmauto.cli.plugins_find import PROJECT, loaded_package, named_entry
from mmauto.registry import Entry, LoadFailure, load_registry

if TYPE_CHECKING:
    from mmauto.contracts import Component
    from mmauto.testing import Check

STYLES = {"ok": "green", "failed": "bold red", "exempt": "yellow", "not run": "yellow"}


@dataclass(frozen=True)
class Line:
    """What became of one check.

    Attributes:
        outcome: ``exempt`` where the component declares so, ``not run`` where something it needs
            is not installed.
        text: what was seen, or the reason; empty where the check holds.
    """

    check: str
    rule: str
    outcome: Literal["ok", "failed", "exempt", "not run"]
    text: str = ""


@click.command("check")
@click.argument("given", metavar="NAME|DIR")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(given: str, as_json: bool) -> None:
    """Run the conformance kit on a component or a package.

    NAME is a component, or kind:name where kinds share it. DIR is a package with a pyproject.toml;
    it need not be installed. Exit code 1: a check failed, or there was nothing to check.
    """  # fmt: skip
    with ExitStack() as stack:
        entries, failures = _meant(given, stack)
        if as_json:
            found = [(entry, tuple(run_checks(entry.component))) for entry in entries]
            body = {
                "components": [
                    {"kind": entry.kind, "name": entry.name, "checks": [asdict(x) for x in lines]}
                    for entry, lines in found
                ],
                "failures": [asdict(failure) for failure in failures],
            }  # fmt: skip
            click.echo(json.dumps(body, indent=1))
            good = all(line.outcome != "failed" for _, lines in found for line in lines)
        else:
            good = all([_show(entry) for entry in entries])  # noqa: C419 - every one is shown
            for failure in failures:
                click.echo(f"not loaded: {failure.plugin}: {failure.message}")
            if not entries and not failures:
                click.echo(f"{given} offers no component: its hooks return nothing")
        if failures or not entries or not good:
            sys.exit(1)


def run_checks(component: Component) -> Iterator[Line]:
    """The outcome of each check of the component's kind, one by one as they end."""
    from mmauto.testing import component_checks

    for _, one in component_checks(component):
        yield _run(one, component)


def _run(one: Check, component: Component) -> Line:
    from mmauto.errors import PluginError
    from mmauto.testing.checks import exemptions

    reason = one.skipped(component)
    if reason is not None:
        exempt = one.name in exemptions(component)
        return Line(one.name, one.rule, "exempt" if exempt else "not run", reason)
    try:
        one(component)
    except PluginError as error:
        cause = error.__cause__
        seen = str(cause) if isinstance(cause, AssertionError) else repr(cause)
        return Line(one.name, one.rule, "failed", seen)
    return Line(one.name, one.rule, "ok")


def _meant(given: str, stack: ExitStack) -> tuple[Sequence[Entry], Sequence[LoadFailure]]:
    """A folder where there is one with a project file, else a component."""
    folder = Path(given)
    if (folder / PROJECT).is_file() or (folder.is_dir() and not given.isidentifier()):
        package = stack.enter_context(loaded_package(folder.resolve()))
        return package.entries, package.failures
    hint = f"a folder needs a {PROJECT} to be checked" if folder.is_dir() else ""
    return [named_entry(load_registry(), given, hint)], ()


def _show(entry: Entry) -> bool:
    """A line a check as it ends, and a summary; whether none failed."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mmauto.testing import component_checks

    console = Console()
    console.print(Text(f"{entry.kind} {entry.name} ({entry.distribution} {entry.version})", "bold"))
    width = max(len(one.name) for _, one in component_checks(entry.component))
    counts: Counter[str] = Counter()
    for line in run_checks(entry.component):
        counts[line.outcome] += 1
        row = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        row.add_column(width=len("  not run"), no_wrap=True)
        row.add_column(width=width, no_wrap=True)
        row.add_column(overflow="fold")
        text = f"{line.rule}; seen: {line.text}" if line.outcome == "failed" else line.text
        row.add_row(Text(f"  {line.outcome}", STYLES[line.outcome]), line.check, Text(text))
        console.print(row)
    console.print(Text(", ".join(f"{counts[name]} {name}" for name in STYLES if counts[name])))
    return not counts["failed"]
