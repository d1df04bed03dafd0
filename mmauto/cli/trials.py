"""``mmauto trials``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmauto.errors import StoreError, unknown

if TYPE_CHECKING:
    from mmauto.study import Study
    from mmauto.views import ConfirmationView, Failure, TrialView

Row = Mapping[str, Any]

FIGURES = ("value", "seconds", "epochs", "memory")
LEAST_MESSAGE = 24
"""Columns of the terminal that a failure's message has at least; it runs over several lines."""


@click.command("trials")
@click.argument("name")
@click.argument("number", type=int, required=False)
@click.option("--failed", is_flag=True, help="Only those that failed, and why.")
@click.option("--arm", help="Only those of this arm.")
@click.option(
    "--format", "style", type=click.Choice(["table", "json", "csv"]), default="table",
    help="How they are printed (default table); json has their tracebacks, too.",
)  # fmt: skip
@click.option("--out", default="studies", help="The folder that holds studies.")
def command(
    name: str, number: int | None, failed: bool, arm: str | None, style: str, out: str
) -> None:
    """List a study's trials; with a trial's NUMBER, everything about it.

    Confirmation runs stand among them under the number of the trial that they repeat.
    """
    from mmauto.study import Study

    study = Study(Path(out) / name)
    rows = rows_of(study)
    if arm is not None:
        arms = {row["arm"] for row in rows}
        if arm not in arms:
            raise StoreError(unknown("arm with trials", arm, arms, source="--arm"))
        rows = [row for row in rows if row["arm"] == arm]
    if number is not None:
        rows = [row for row in rows if row["trial"] == number]
        if not rows:
            raise StoreError(
                f"a trial's number is one that `mmauto trials {name}` lists, {number} is not"
                + (f" among those of {arm!r}" if arm else "")
            )
    if failed:
        rows = [row for row in rows if row["state"] == "failed"]
    if style == "json":
        click.echo(json.dumps(rows, indent=1))
    elif style == "csv":
        click.echo(as_csv(rows), nl=False)
    elif number is not None:
        _print_all(rows)
    else:
        _print_table(rows, failed, name)


def rows_of(study: Study) -> list[Row]:
    """Trials and confirmation runs as JSON values, in the order in which they were asked.

    Raises:
        StoreError: the study is one of several folds, which have trials of their own.
    """
    if study.folded:
        raise StoreError(
            f"trials belong to one study, {study.folder} holds one for each fold; name one of "
            f"them, e.g. {study.folder.name}/folds/1"
        )
    rows = [_trial(trial) for trial in study.trials()]
    return rows + [_confirmation(run) for run in study.confirmations()]


def _trial(trial: TrialView) -> Row:
    return {
        "trial": trial.id, "arm": trial.arm, "run": "search", "state": trial.state,
        "value": trial.value, "best_epoch": trial.best_epoch, "epochs": len(trial.curve),
        "seconds": trial.seconds, "peak_memory": trial.costs.peak_memory,
        **_why(trial.failure), "params": dict(trial.params),
    }  # fmt: skip


def _confirmation(run: ConfirmationView) -> Row:
    return {
        "trial": run.trial, "arm": run.arm, "run": f"confirmation {run.seed + 1}",
        "state": "failed" if run.failure else "complete",
        "value": run.value, "best_epoch": None, "epochs": len(run.curve),
        "seconds": run.costs.train_seconds, "peak_memory": run.costs.peak_memory,
        **_why(run.failure), "params": dict(run.params),
    }  # fmt: skip


def _why(failure: Failure | None) -> Row:
    return {
        "class": failure.kind if failure else None,
        "message": failure.message if failure else None,
        "traceback": failure.traceback if failure else None,
    }


def as_csv(rows: Sequence[Row]) -> str:
    """A line a run, its parameters as JSON; no cell is a formula."""
    from mmauto.report.export import inert

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if rows:
        names = [name for name in rows[0] if name != "traceback"]
        writer.writerow(names)
        for row in rows:
            cells = {**row, "params": json.dumps(row["params"])}
            writer.writerow([inert(cells[name]) for name in names])
    return text.getvalue()


def _print_table(rows: Sequence[Row], failed: bool, name: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mmauto.cli.display import SHORTEST, shortened

    console = Console()
    if not rows:
        console.print("No trial failed." if failed else "There is no trial yet.")
        return
    state = "class" if failed else "state"
    titles = ["run", state, *(("memory", "seconds") if failed else FIGURES)]
    cells = {
        title: [str(row[title]) if title in ("run", state) else _cell(row, title) for row in rows]
        for title in titles
    }
    trials = [str(row["trial"]) for row in rows]
    widths = {title: max(map(len, [title, *column])) for title, column in cells.items()}
    widths["trial"] = max(len("trial"), *map(len, trials))
    message = LEAST_MESSAGE if failed else 0
    # figures are never cut: the last columns are left out, then the arm's name gives way
    while len(titles) > 2 and _room(console.width, titles, widths) - message < SHORTEST:
        titles.pop()
    room = max(SHORTEST, _room(console.width, titles, widths) - message)
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    for title in titles:
        table.add_column(
            title, justify="left" if title in ("run", state) else "right", no_wrap=True
        )
    if failed:
        table.add_column("message", ratio=1)
    for place, row in enumerate(rows):
        words = [trials[place], shortened(row["arm"], room)]
        words += [cells[title][place] for title in titles]
        words += [_in_line(row["message"])] if failed else []
        table.add_row(*(Text(word) for word in words))
    console.print(table)
    console.print(
        Text(f"everything about one: mmauto trials {name} {rows[-1]['trial']}", style="dim")
    )


def _room(width: int, titles: Sequence[str], widths: Mapping[str, int]) -> int:
    """Columns of the terminal that are left for the arms' names."""
    return width - sum(widths[title] + 2 for title in ("trial", *titles)) - 2


def _print_all(rows: Sequence[Row]) -> None:
    """One trial and the confirmation runs that repeat it."""
    for row in rows:
        told = {"arm": row["arm"], "run": row["run"], "state": row["state"]}
        told |= {title: _cell(row, title) for title in ("value", "epochs", "memory", "seconds")}
        told |= {name: value for name in ("class", "message") if (value := row[name])}
        click.echo(f"trial {row['trial']}")
        for name, value in told.items():
            click.echo(f"  {name}: {_in_line(value)}")
        click.echo("  parameters:")
        for name, value in row["params"].items():
            click.echo(f"    {_in_line(name)} = {_in_line(str(value))}")
        if row["traceback"]:
            click.echo("  its last lines:")
            for line in row["traceback"].splitlines():
                click.echo(f"    {_in_line(line)}")


def _cell(row: Row, title: str) -> str:
    from mmauto.cli.cache import words

    if title == "memory":
        return words(row["peak_memory"]) if row["peak_memory"] else "-"
    value = row[title]
    if value is None:
        return "-"
    return format(value, {"value": ".4f", "seconds": ".1f"}.get(title, ""))


def _in_line(text: str) -> str:
    from mmauto.cli.main import in_line

    return in_line(text)
