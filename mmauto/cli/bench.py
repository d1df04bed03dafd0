"""``mmauto bench``."""

from __future__ import annotations

from pathlib import Path

import click

from mmauto.errors import ConfigError, unknown


@click.command("bench")
@click.argument("rows", nargs=-1)
@click.option("--quick", is_flag=True, help="Tiny sizes, under two minutes: does it run at all?")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--out",
    default="studies/bench",
    type=click.Path(path_type=Path),
    help="The folder for results.md and results.json (default studies/bench).",
)
def command(rows: tuple[str, ...], quick: bool, device: str, out: Path) -> None:
    """Measure searches against loops written by hand, on generated data.

    ROWS are names of comparisons; all of them by default. Nothing else should run meanwhile.
    """
    from mmauto.bench.conduct import measure
    from mmauto.bench.rows import ROWS
    from mmauto.bench.table import markdown, write

    odd = [name for name in rows if name not in ROWS]
    if odd:
        raise ConfigError(unknown("row", odd[0], ROWS, source="mmauto bench"))
    chosen = [name for name in ROWS if name in rows or not rows]
    machine, found = measure(chosen, quick, device, lambda text: click.echo(text, err=True))
    page, data = write(out, machine, found, quick)
    click.echo(markdown(machine, found, quick))
    click.echo(f"written: {page} and {data}", err=True)
