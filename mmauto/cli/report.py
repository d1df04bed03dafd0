"""``mmauto report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("name")
@click.option("--out", default="studies", help="The folder that holds studies.")
@click.option("--path", type=click.Path(path_type=Path), help="Where to write; default: the study.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def command(name: str, out: str, path: Path | None, open_it: bool) -> None:
    """Write a study's HTML report anew."""
    from mmauto.study import Study

    place = Study(Path(out) / name).report(path)
    click.echo(place)
    if open_it:
        click.launch(str(place))
