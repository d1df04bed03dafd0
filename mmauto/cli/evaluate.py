"""``mmauto evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mmauto.cli.predict import progress


@click.command("evaluate")
@click.argument("study")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--arm", help="Only this arm; default: every confirmed arm.")
@click.option("--ensemble", is_flag=True, help="Ensemble selection over the arms, too.")
@click.option("--image-folder", help="Where image paths start; default: the table's folder.")
@click.option("--path", type=click.Path(path_type=Path), help="Where to write the report.")
@click.option("--out", default="studies", help="The folder that holds studies.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    study: str,
    table: Path,
    arm: str | None,
    ensemble: bool,
    image_folder: str | None,
    path: Path | None,
    out: str,
    as_json: bool,
) -> None:
    """Score the models of STUDY on the labelled rows of TABLE, with intervals and a report.

    The winner stays the one that the study chose on its own validation rows.
    """  # fmt: skip
    from mmauto.answers.scores import scores_of
    from mmauto.registry import load_registry
    from mmauto.report.page import write_report
    from mmauto.study import Study

    found = Study(Path(out) / study)
    with progress("evaluating", 1) as tick:
        view = found.evaluate(
            table, arm, ensemble, image_folder, lambda done, total: tick(done / total)
        )
    place = path or found.folder / f"evaluation-{table.stem}.html"
    sections = [entry.component for entry in load_registry().all("section").values()]
    write_report(view, sections, place)  # type: ignore[arg-type]
    scores = {line.arm.name: scores_of(view, line.arm.name) for line in view.comparison.standings}
    if as_json:
        from mmauto.answers.compare import leaderboard_rows
        from mmauto.report.export import finite

        body: dict[str, Any] = {
            "study": study, "table": str(table), "rows": view.rows["evaluated"],
            "verdict": list(view.comparison.verdict),
            "leaderboard": [
                {key: finite(value) for key, value in row.items()}
                for row in leaderboard_rows(view.comparison)
            ],
            "metrics": {
                name: {m: [finite(i.value), finite(i.low), finite(i.high)] for m, i in each.items()}
                for name, each in scores.items()
            },
            "findings": [str(finding) for finding in view.findings], "report": str(place),
        }  # fmt: skip
        click.echo(json.dumps(body, indent=1))
        return
    _show(view, scores, place)


def _show(view: Any, scores: Any, place: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mmauto.cli.display import leaderboard_table
    from mmauto.cli.findings import show_data
    from mmauto.engine.metrics import METRICS

    console = Console()
    show_data(console, (), view.findings)
    console.print(leaderboard_table(view, console.width))
    shown = view.comparison.winner if view.comparison.winner in scores else next(iter(scores))
    table = Table(title=f"{shown} on {view.rows['evaluated']} rows", title_justify="left",
                  box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)  # fmt: skip
    table.add_column("metric")
    table.add_column("value [95 % interval]", justify="right")
    for name, found in scores[shown].items():
        table.add_row(METRICS[name].label, f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    console.print(table)
    for sentence in view.comparison.verdict:
        console.print(Text(sentence))
    console.print(Text(f"report: {place}", style="bold"))
