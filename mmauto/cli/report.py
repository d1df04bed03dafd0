"""``mmauto report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmauto.errors import ConfigError, unknown

if TYPE_CHECKING:
    from mmauto.report.several import Several
    from mmauto.study import Study
    from mmauto.views import Comparison

HTML = "html"


@click.command("report")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--out", default="studies", help="The folder that holds studies.")
@click.option("--format", "kind", default=HTML, help="html, md, json, csv or latex.")
@click.option(
    "-o",
    "--output",
    "--path",
    "output",
    type=click.Path(path_type=Path),
    help="The file; default: in the study (html), comparison.html, or standard output.",
)
@click.option("--png", is_flag=True, help="The figures as PNG files, too.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def command(
    names: tuple[str, ...], out: str, kind: str, output: Path | None, png: bool, open_it: bool
) -> None:  # fmt: skip
    """Write a study's report anew; of several studies (names or folders), a comparison.

    Studies of the same test rows get one leaderboard, those of different data sets average ranks.
    """
    from mmauto.report.export import FORMATS

    if kind not in (HTML, *FORMATS):
        raise ConfigError(unknown("format", kind, (HTML, *FORMATS), source="--format"))
    if open_it and kind != HTML:
        raise ConfigError(f"--open shows a page, --format is {kind}; leave one of them out")
    if output is not None and output.is_dir():
        raise _no_file(output, "it is a folder")
    studies = [_study(name, out) for name in names]
    if len(studies) == 1:
        _one(studies[0], kind, output, png, open_it)
    else:
        _several(studies, kind, output, Path(out), png, open_it)


def _study(name: str, out: str) -> Study:
    from mmauto.store.place import is_study
    from mmauto.study import Study

    here, named = Path(name), Path(out) / name
    kept = is_study(here) or (here / "folds").is_dir()
    return Study(here if kept and not named.exists() else named)


def _one(study: Study, kind: str, output: Path | None, png: bool, open_it: bool) -> None:
    if kind == HTML:
        try:
            place = study.report(output)
        except OSError as error:
            raise _no_file(output or study.folder, error.strerror or str(error)) from error
        _shown(place, open_it)
    else:
        _written(study.view().comparison, kind, output)
    if png:
        from mmauto.registry import load_registry
        from mmauto.report.png import figures_of, write_figures

        sections = [entry.component for entry in load_registry().all("section").values()]
        figures = figures_of(study.view(), sections)  # type: ignore[arg-type]
        _counted(write_figures(figures, study.folder / "figures"))


def _several(
    studies: Sequence[Study], kind: str, output: Path | None, out: Path, png: bool, open_it: bool
) -> None:
    found = _compared(studies)
    place = output if output is not None and kind == HTML else out / "comparison.html"
    if kind == HTML:
        _write(place, found.page())
        _shown(place, open_it)
    elif found.comparison is None:
        raise ConfigError(
            f"only studies of the same rows have one leaderboard, these have different ones and "
            f"no {kind}; leave --format out for the page with their ranks"
        )
    else:
        _written(found.comparison, kind, output)
    if png:
        from mmauto.report.png import named, write_figures

        figures = [figure for name, _, blocks in found.parts for figure in named(name, blocks)]
        _counted(write_figures(figures, place.with_name(f"{place.stem}-figures")))


def _compared(studies: Sequence[Study]) -> Several:
    """The comparison; studies of one name go by their folders."""
    from mmauto.report.several import several

    folders = [study.folder.resolve() for study in studies]
    twice = next((one for one in folders if folders.count(one) > 1), None)
    if twice is not None:
        raise ConfigError(f"a comparison is between different studies, {twice} was given twice")
    views = [study.view() for study in studies]
    names = [view.name for view in views]
    return several(
        [
            replace(view, name=str(study.folder)) if names.count(view.name) > 1 else view
            for study, view in zip(studies, views, strict=True)
        ]
    )


def _written(comparison: Comparison, kind: str, output: Path | None) -> None:
    """To a file, whose path is said, or to standard output."""
    from mmauto.report.export import FORMATS

    text = FORMATS[kind](comparison)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        _write(output, text)
        click.echo(output)


def _write(path: Path, text: str) -> None:
    from mmauto.report.export import write_whole

    try:
        write_whole(path, text)
    except OSError as error:
        raise _no_file(path, error.strerror or str(error)) from error


def _shown(place: Path, open_it: bool) -> None:
    click.echo(place)
    if open_it:
        click.launch(str(place))


def _counted(files: Sequence[Path]) -> None:
    where = f" in {files[0].parent}" if files else ""
    click.echo(f"{len(files)} figures{where}", err=True)


def _no_file(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"a report needs a file that can be written, {path} is not one ({why}); "
        "name another one with --output"
    )
