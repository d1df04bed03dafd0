"""``mmauto show``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

WIDE = 90
"""Columns from which the stage fits into the table."""

STATES = ("complete", "pruned", "failed", "running")


@click.command("show")
@click.argument("name")
@click.option("--out", default="studies", help="The folder that holds studies.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str, out: str, as_json: bool) -> None:
    """Show a stored study: arms, trials by state, best, files."""
    from mmauto.study import Study

    study = Study(Path(out) / name)
    view = study.view()
    arms = []
    for arm in view.arms:
        trials = [trial for trial in view.trials if trial.arm == arm.name]
        values = [trial.value for trial in trials if trial.value is not None]
        best = (max if view.comparison.maximise else min)(values) if values else None
        arms.append(
            {
                "arm": arm.name, "kind": arm.kind, "stage": arm.stage,
                "trials": dict(Counter(trial.state for trial in trials)),
                "best_validation": best,
                "confirmed": sum(
                    run.arm == arm.name and run.failure is None for run in view.confirmations
                ),
                "parked": arm.parked,
            }
        )  # fmt: skip
    files = sorted(
        str(path.relative_to(study.folder))
        for path in study.folder.rglob("*")
        if path.is_file() and "predictions" not in path.parts
    )
    about: dict[str, Any] = {
        "study": view.name, "folder": str(study.folder), "state": study.state,
        "task": view.task.name, "simulated": view.task.simulated, "target": view.task.primary,
        "metric": view.task.metric, "rows": dict(view.rows), "winner": view.comparison.winner,
        "reference": view.comparison.reference, "arms": arms, "files": files,
        "command": view.command,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(about, indent=1))
    else:
        _print(about)


def _print(about: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    simulated = " (simulated data)" if about["simulated"] else ""
    rows = ", ".join(f"{count} {split}" for split, count in about["rows"].items())
    console.print(Text(f"{about['study']}: {about['state']}{simulated}", style="bold"))
    console.print(Text(f"{about['target']} by {about['metric']}; rows: {rows}"))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("arm", no_wrap=True)
    if console.width >= WIDE:
        table.add_column("stage", no_wrap=True)
    for title in ("done", *STATES[1:], "best", "seeds"):
        table.add_column(title, justify="right", no_wrap=True)
    for arm in about["arms"]:
        best = arm["best_validation"]
        table.add_row(
            arm["arm"] + (" (parked)" if arm["parked"] else ""),
            *([arm["stage"]] if console.width >= WIDE else []),
            *(str(arm["trials"].get(state, 0)) for state in STATES),
            "" if best is None else f"{best:.4f}",
            str(arm["confirmed"]),
        )
    console.print(table)
    console.print(Text(f"chosen on validation: {about['winner'] or 'nothing confirmed yet'}"))
    console.print(
        Text("best: of one trial, on validation; the leaderboard shows the mean over seeds", "dim")
    )
    console.print(Text(f"files in {about['folder']}:", "bold"))
    models = sorted({Path(file).parts[1] for file in about["files"] if file.startswith("models/")})
    inside = Counter(Path(file).parts[0] for file in about["files"] if len(Path(file).parts) > 1)
    for file in about["files"]:
        if len(Path(file).parts) == 1:
            console.print(Text(f"  {file}"))
    for folder in sorted(set(inside) - {"models"}):
        console.print(Text(f"  {folder}/: {inside[folder]} file{'s' * (inside[folder] > 1)}"))
    if models:
        console.print(Text(f"  models/: {', '.join(models)}"))
    console.print(Text(f"again: {about['command']}"))
