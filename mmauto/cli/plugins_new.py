"""``mmauto plugins new``."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("new")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    required=True,
    help="encoder, fusion, regulariser, control, task or section.",
)
@click.option("--name", help="The component's name; default: after the folder.")
def new(folder: Path, kind: str, name: str | None) -> None:
    """Write a package with a component of your own.

    DIR is the package's name, e.g. mmauto-mine. The component works, and passes the tests that
    come with it: change it step by step.
    """  # fmt: skip
    from mmauto.errors import ConfigError
    from mmauto.registry import load_registry
    from mmauto.scaffold import plan, write

    planned = plan(folder, kind, name)
    taken = load_registry().all(kind).get(planned.name)
    if taken is not None:
        raise ConfigError(
            f"a {kind}'s name must be its own, {planned.name!r} is offered by "
            f"{taken.distribution} {taken.version}; give another --name"
        )
    files = write(planned)
    click.echo(f"{planned.distribution}: a package with the {kind} {planned.name}")
    for file in files:
        click.echo(f"  {file}")
    shown = os.path.relpath(planned.folder)
    click.echo("next:")
    click.echo(f"  cd {shown}")
    click.echo('  pip install -e ".[dev]"')
    click.echo("  pytest")
    click.echo(f"  mmauto plugins show {kind}:{planned.name}")
