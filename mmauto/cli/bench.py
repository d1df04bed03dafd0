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
    type=click.Path(path_type=Path),
    help="The folder for results.md and results.json (default studies/bench; none with --quick).",
)
def command(rows: tuple[str, ...], quick: bool, device: str, out: Path | None) -> None:
    """Measure searches against loops written by hand, on generated data.

    ROWS are names of comparisons; all of them by default. They join those that the folder has,
    processors and GPUs beside each other. Nothing else should run meanwhile.
    """
    from mmauto.bench.conduct import measure
    from mmauto.bench.results import merged, read, write
    from mmauto.bench.rows import ROWS
    from mmauto.bench.table import markdown

    odd = [name for name in rows if name not in ROWS]
    if odd:
        raise ConfigError(unknown("row", odd[0], ROWS, source="mmauto bench"))
    chosen = [name for name in ROWS if name in rows or not rows]
    folder = out or (None if quick else Path("studies/bench"))
    if folder is not None:
        read(folder / "results.json")  # refused now rather than after the first row
    found = []
    for row in measure(chosen, quick, device, lambda text: click.echo(text, err=True)):
        found.append(row)
        if folder is not None:  # at once: what was measured outlives an interrupt
            known = merged(read(folder / "results.json"), [row], list(ROWS))
            write(folder / "results.json", known)
            (folder / "results.md").write_text(markdown(known), encoding="utf-8")
    click.echo(markdown(found))
    if folder is not None:
        click.echo(f"written: {folder / 'results.md'} and {folder / 'results.json'}", err=True)
