"""``mmauto predict``."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from mmauto.cli.main import in_line
from mmauto.cli.parameters import Share
from mmauto.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mmauto.predictor import Predictor

SUFFIXES = (".csv", ".jsonl")


@click.command("predict")
@click.argument("study")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A .csv or .jsonl file; default: print."
)
@click.option("--arm", help="A confirmed arm; default: the winner.")
@click.option("--ensemble", is_flag=True, help="Average the arms that ensemble selection picks.")
@click.option("--abstain", type=Share(), help="Leave the decision empty where it is less sure.")
@click.option("--image-folder", help="Where image paths start; default: the table's folder.")
@click.option("--out", default="studies", help="The folder that holds studies.")
def command(
    study: str,
    table: Path,
    output: Path | None,
    arm: str | None,
    ensemble: bool,
    abstain: float | None,
    image_folder: str | None,
    out: str,
) -> None:
    """Predict every row of TABLE with the best model of STUDY (or a bundle's folder).

    For each target: the decision, how sure it is, and the probability of each class.
    """  # fmt: skip
    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"predictions are written as {' or '.join(SUFFIXES)}, --output is {output}; rename it"
        )
    from mmauto.report.export import inert

    model = load(study, out, arm, ensemble)
    rows = model.read(table, image_folder)
    for note in (*model.notes, *rows.notes):
        click.echo(f"note: {in_line(note)}", err=True)
    for line in _about(model):
        click.echo(line, err=True)
    open_rows = 0
    with _writer(output) as file, progress("predicting", len(rows.ids)) as tick:
        header: list[str] = []
        writer = csv.writer(file)
        for place, given in model.stream(rows):
            lines = list(_lines(model, rows.ids[place], given, abstain))
            open_rows += sum(
                any(k.endswith(" abstained") and v for k, v in x.items()) for x in lines
            )
            if output is not None and output.suffix.lower() == ".jsonl":
                file.writelines(json.dumps(line) + "\n" for line in lines)
            else:
                if not header:
                    header = list(lines[0])
                    writer.writerow(map(inert, header))
                writer.writerows(_cells(line) for line in lines)
            tick(place.stop)
    left = f", {open_rows} of them left open" if abstain is not None else ""
    where = f": {output}" if output is not None else ""
    click.echo(f"{len(rows.ids)} rows predicted{left}{where}", err=True)


def _about(model: Predictor) -> Iterator[str]:
    """What the models are, and where a probability becomes a decision."""
    if len(model.bundles) > 1 or model.weights != [1.0]:
        made = ", ".join(
            f"{weight:.0%} {bundle.folder.name}"
            for weight, bundle in zip(model.weights, model.bundles, strict=True)
        )
        yield f"ensemble of {made}"
    else:
        yield f"model: {model.bundles[0].folder.name}"
    for name, cuts in model.thresholds.items():
        spec = model.specs[name]
        if spec.kind == "binary" and len(cuts) and abs(cuts[0] - 0.5) > 1e-9:
            yield (
                f"{name} is {spec.classes[1]!r} from a probability of {cuts[0]:.3f} on (chosen on "
                "validation); its confidence is the probability of what was decided"
            )


def load(study: str, out: str, arm: str | None, ensemble: bool) -> Predictor:
    """The model of a study by name, or of a bundle by its folder.

    Raises:
        ConfigError: an arm is named for a bundle.
    """
    from mmauto.predictor import load_bundle
    from mmauto.study import Study

    if (Path(study) / "bundle.json").is_file():
        if arm or ensemble:
            raise ConfigError(
                f"a bundle is one model, --{'arm' if arm else 'ensemble'} was given for {study}; "
                "leave it out, or name the study"
            )
        return load_bundle(study)
    return Study(Path(out) / study).predictor(arm, ensemble)


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """A bar on standard error where that is a terminal; gives a function of rows done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, *_: bar.update(task, completed=done)


@contextmanager
def _writer(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when it is complete."""
    if output is None:
        yield sys.stdout
        return
    fresh = output.with_name(f"{output.name}.tmp")
    try:
        with fresh.open("w", newline="", encoding="utf-8") as file:
            yield file
        fresh.replace(output)
    except OSError as error:
        raise DataError(
            f"predictions need a file that can be written, {output} is not one "
            f"({error.strerror or error}); name another one with --output"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _lines(
    model: Predictor, ids: Iterable[str], given: Any, abstain: float | None
) -> Iterator[dict[str, Any]]:
    """One mapping a row: id, and for each target decision, confidence, probabilities."""
    from mmauto.predictor import by_class, decide

    decided = {
        name: decide(spec, given[name], model.thresholds.get(name))
        for name, spec in model.specs.items()
    }
    for row, identity in enumerate(ids):
        line: dict[str, Any] = {"id": identity}
        for name, spec in model.specs.items():
            choices, sure = decided[name]
            choice, confidence = choices[row], float(sure[row])
            if spec.kind == "regression":
                line[name] = choice
                continue
            unsure = abstain is not None and confidence < abstain
            line[name] = None if unsure else choice
            line[f"{name} confidence"] = round(confidence, 6)
            if abstain is not None:
                line[f"{name} abstained"] = unsure
            shares = by_class(spec, given[name][row : row + 1])[0]
            line |= {
                f"{name}: {klass}": round(float(share), 6)
                for klass, share in zip(spec.classes, shares, strict=True)
            }
        yield line


def _cells(line: dict[str, Any]) -> list[Any]:
    from mmauto.report.export import inert

    return [
        inert("|".join(value)) if isinstance(value, tuple) else inert(value)
        for value in line.values()
    ]
