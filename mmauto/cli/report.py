"""``mmauto report``."""

from __future__ import annotations

from pathlib import Path

import click

from mmauto.errors import ConfigError


@click.command("report")
@click.argument("name")
@click.option("--out", default="studies", help="The folder that holds studies.")
@click.option("--path", type=click.Path(path_type=Path), help="Where to write; default: the study.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def command(name: str, out: str, path: Path | None, open_it: bool) -> None:
    """Write a study's HTML report anew."""
    from mmauto.study import Study

    study = Study(Path(out) / name)
    if path is not None and path.is_dir():
        raise _no_file(path, "it is a folder")
    try:
        place = study.report(path)
    except OSError as error:
        raise _no_file(path or study.folder, error.strerror or str(error)) from error
    click.echo(place)
    if open_it:
        click.launch(str(place))


def _no_file(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"a report needs a file that can be written, {path} is not one ({why}); "
        "name another one with --path"
    )
