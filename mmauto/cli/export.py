"""``mmauto export``."""

from __future__ import annotations

from pathlib import Path

import click

from mmauto.errors import ConfigError


@click.command("export")
@click.argument("study")
@click.option("--arm", help="A confirmed arm; default: the winner.")
@click.option("--format", "kind", default="onnx", help="onnx.")
@click.option("--int8", is_flag=True, help="An 8-bit file too, with what it costs in accuracy.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: in models/ARM/.")
@click.option("--out", default="studies", help="The folder that holds studies.")
def command(
    study: str, arm: str | None, kind: str, int8: bool, output: Path | None, out: str
) -> None:
    """Write a model of STUDY for other runtimes, after comparing their predictions.

    Prepared arrays go in, predictions come out; the file beside it says what they are.
    """
    from mmauto.study import Study

    if kind != "onnx":
        raise ConfigError(f"a model is exported as onnx, --format is {kind!r}; use --format onnx")
    found, rows = Study(Path(out) / study).export(arm, output, int8)
    click.echo(f"{found.path}: {found.size / 1e6:.1f} MB, description in {found.path.stem}.json")
    for title, shapes in (("inputs", found.inputs), ("outputs", found.outputs)):
        said = ", ".join(f"{name} ({', '.join(map(str, s))})" for name, s in shapes.items())
        click.echo(f"{title}: {said}")
    click.echo(f"largest difference from PyTorch on {rows} validation rows: {found.parity:.2g}")
    if found.int8 is not None:
        small = found.int8
        click.echo(
            f"{small.path}: {small.size / 1e6:.1f} MB, {found.size / small.size:.1f} times "
            f"smaller; largest difference {small.parity:.2g}"
        )
        if small.before is not None and small.after is not None:
            click.echo(
                f"on the validation rows the metric goes from {small.before:.4f} to "
                f"{small.after:.4f} ({small.after - small.before:+.4f})"
            )
