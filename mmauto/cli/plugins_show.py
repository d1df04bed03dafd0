"""``mmauto plugins show``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from mmauto.cli.plugins_find import named_entry
from mmauto.registry import Entry, load_registry

if TYPE_CHECKING:
    from mmauto.contracts import Fusion
    from mmauto.space import Dimension

MOST = 4
"""A fusion is asked about one to so many modalities."""


@click.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show what a component is, searches over and fits.

    NAME is a component, or kind:name where kinds share it.
    """
    about = describe(named_entry(load_registry(), name))
    if as_json:
        click.echo(json.dumps(about, indent=1))
    else:
        _print(about)


def describe(entry: Entry) -> dict[str, Any]:
    """Everything that a component says of itself, as JSON values.

    The space, and what a fusion refuses, are asked for on a task with an image, a text and numbers.
    """
    from mmauto.contracts import Encoder, Fusion, Regulariser
    from mmauto.testing.fakes import task_view

    component = entry.component
    about: dict[str, Any] = {
        "kind": entry.kind, "name": entry.name, "summary": component.summary,
        "reference": component.reference, "licence": component.licence,
        "distribution": entry.distribution, "version": entry.version,
        "missing": component.missing(),
        "space": [dimension(key, of) for key, of in component.space(task_view()).items()],
    }  # fmt: skip
    if isinstance(component, Encoder):
        about |= {"modality": component.modality, "default": component.default}
    if isinstance(component, Fusion):
        about |= {"stage": component.stage, "default": component.default}
        about |= {"gives": sorted(component.gives), "refuses": refusals(component)}
    if isinstance(component, Regulariser):
        about |= {"needs": sorted(component.needs)}
    return about


def dimension(name: str, of: Dimension) -> dict[str, Any]:
    """A dimension's kind, range or options, and default."""
    return {"name": name, "type": type(of).__name__.lower(), **asdict(of)}


def refusals(fusion: Fusion) -> list[dict[str, Any]]:
    """What a fusion cannot join, with its own words.

    A row names ``modalities`` (a number), ``target`` (a kind), or both where only the pair is
    refused; the other is None.
    """
    from mmauto.values import FeatureSpec, Kind, TargetSpec

    said: dict[tuple[int, str], str] = {}
    numbers, kinds = range(1, MOST + 1), get_args(Kind)
    for number in numbers:
        features = {f"input{place}": FeatureSpec(place + 1, 32) for place in range(number)}
        for kind in kinds:
            classes = () if kind == "regression" else ("a", "b", "c")[: 2 + (kind != "binary")]
            reason = fusion.refuses(features, {"target": TargetSpec("target", kind, classes)})
            if reason is not None:
                said[number, kind] = reason
    always = [n for n in numbers if all((n, kind) in said for kind in kinds)]
    left = [n for n in numbers if n not in always]
    never = [kind for kind in kinds if left and all((n, kind) in said for n in left)]
    rows: list[tuple[int | None, str | None, str]] = [(n, None, said[n, kinds[0]]) for n in always]
    rows += [(None, kind, said[left[0], kind]) for kind in never]
    rows += [(n, k, why) for (n, k), why in said.items() if n in left and k not in never]
    return [{"modalities": n, "target": kind, "reason": why} for n, kind, why in rows]


def _print(about: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{about['kind']} {about['name']}", "bold"))
    console.print(Text(about["summary"]))
    facts = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    for title, text, style in _facts(about):
        facts.add_row(title, Text(text, style))
    console.print(facts)
    if not about["space"]:
        console.print(Text("nothing to search over"))
        return
    space = Table(box=None, padding=(0, 1), header_style="bold")
    space.add_column("parameter", no_wrap=True)
    space.add_column("default", justify="right", no_wrap=True)
    space.add_column("range", overflow="fold")
    for row in about["space"]:
        space.add_row(row["name"], _value(row["default"]), Text(_range(row)))
    console.print(space)


def _facts(about: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(title, text, style) of each line that says something."""
    joins = {True: "every search, unless left out", False: "a search that names it", None: ""}
    rows = [
        ("modality", about.get("modality", ""), ""),
        ("stage", about.get("stage", ""), ""),
        ("joins", joins[about.get("default")], ""),
        ("gives", ", ".join(about.get("gives", ())), ""),
        ("needs", _needs(about), ""),
        *(("refuses", _refusal(row), "yellow") for row in about.get("refuses", ())),
        ("reference", about["reference"], ""),
        ("weights", about["licence"], ""),
        ("from", f"{about['distribution']} {about['version']}", ""),
        ("missing", about["missing"] or "", "yellow"),
    ]
    if about["kind"] == "fusion" and not about["refuses"]:
        rows.insert(4, ("fits", f"every kind of target, 1 to {MOST} modalities", ""))
    return [row for row in rows if row[1]]


def _needs(about: dict[str, Any]) -> str:
    if "needs" not in about:
        return ""
    return f"a fusion that gives {', '.join(about['needs'])}" if about["needs"] else "any fusion"


def _refusal(row: dict[str, Any]) -> str:
    number, kind = row["modalities"], row["target"]
    what: Sequence[str] = [
        *([f"{number} modalit{'y' if number == 1 else 'ies'}"] if number else []),
        *([f"{kind} targets"] if kind else []),
    ]
    return f"{' with '.join(what)}: {row['reason']}"


def _range(row: dict[str, Any]) -> str:
    if row["type"] == "choice":
        named = [_value(option) for option in row["options"]]
        return ", ".join([*named, *(["or any other text"] if row["open"] else [])])
    notes = [
        *(["whole"] if row["type"] == "int" else []),
        *(["logarithmic"] if row["log"] else []),
        *([f"steps of {row['step']}"] if row.get("step", 1) != 1 else []),
        *(["packs"] if row.get("packs") else []),
    ]
    span = f"{_value(row['low'])} to {_value(row['high'])}"
    return f"{span} ({', '.join(notes)})" if notes else span


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
