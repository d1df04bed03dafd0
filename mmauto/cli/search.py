"""``mmauto search``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mmauto import config, config_check
from mmauto.cli.parameters import Assignment, Duration, Names, Share
from mmauto.config_engine import ENGINES
from mmauto.errors import ConfigError
from mmauto.toml import read_toml


def _choice(options: tuple[str, ...]) -> click.Choice[str]:
    return click.Choice(options)


@click.command("search")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--task", help="A built-in or plugged-in task, e.g. medical.")
@click.option("--data", help="A table (CSV, Parquet, JSONL, Excel) or a folder with one.")
@click.option("--image", type=Names(), help="Image columns: paths relative to the table.")
@click.option("--text", type=Names(), help="Text columns.")
@click.option("--tabular", type=Names(), help="Numeric and categorical columns.")
@click.option("--target", type=Names(), help="Columns to predict, the primary one first.")
@click.option("--group", help="Column whose groups stay on one side of a split, e.g. patient.")
@click.option("--split", help="Column with train, valid, test.")
@click.option("--id", help="Column with a unique name of each row.")
@click.option("--domain", help="Column of where a row comes from: gets a domain adapter.")
@click.option(
    "--subgroup",
    type=Names(),
    multiple=True,
    metavar="COLUMN",
    help="Column by whose values the report breaks answers down, e.g. sex; may be repeated.",
)
@click.option(
    "--role",
    "roles",
    type=Assignment(),
    multiple=True,
    metavar="COLUMN=ROLE",
    help="Over the guess: image, text, numeric, categorical, group, split, id, domain or ignore.",
)
@click.option("--image-folder", help="Where image paths start; default: the table's folder.")
@click.option("--max-bad", type=Share(), help="Share of unusable images let through (default 5%).")
@click.option("--separator", help="Between the labels of a multilabel target (default |).")
@click.option("--metric", help="The primary target's metric; by default as its kind suggests.")
@click.option(
    "--class-weights", type=_choice(config_check.CLASS_WEIGHTS), help="Weigh classes in the loss."
)
@click.option("--trials", type=int, help="Trials for each arm (default 16).")
@click.option("--time", type=Duration(), help="Time for everything, e.g. 10m; default: no limit.")
@click.option("--epochs", type=int, help="Epochs a trial at most (default 20).")
@click.option("--patience", type=int, help="Epochs without a better value that end a trial.")
@click.option("--encoders", type=Names(), help="Encoders to search over.")
@click.option("--fusions", type=Names(), help="Fusion strategies to compare, or all.")
@click.option("--controls", type=Names(), help="Controls to run; default: all.")
@click.option("--regularisers", type=Names(), help="Training terms to search over, and none.")
@click.option("--exclude", type=Names(), help="Encoders, fusions, controls or arms to leave out.")
@click.option(
    "--preset", type=_choice(config_check.PRESETS), help="thorough adds trained encoders."
)
@click.option("--seed", type=int, help="Seed of data, splits, sampling and training (default 0).")
@click.option(
    "--folds",
    type=int,
    help="Nested cross-validation for small data: so many whole studies, each row tested once.",
)
@click.option("--device", help="auto, cpu, cuda or cuda:N.")
@click.option("--sampler", type=_choice(config_check.SAMPLERS), help="How candidates are chosen.")
@click.option("--pruner", type=_choice(config_check.PRUNERS), help="How hopeless trials end early.")
@click.option("--generation", type=int, help="Candidates that an arm asks for at once (default 8).")
@click.option("--pack", type=int, help="Candidates in a row of equal shapes (default 4); 1: off.")
@click.option("--warm-start", metavar="STUDY", help="Try first what was best in an earlier study.")
@click.option("--workers", type=int, help="Executors side by side; default: one a core.")
@click.option("--engine", type=_choice(ENGINES), help="ray: workers on a Ray cluster (extra ray).")
@click.option("--address", metavar="HOST:PORT", help="The cluster's head; default: this machine's.")
@click.option("--cpus-per-trial", type=float, help="Of the cluster, for each worker (default 1).")
@click.option("--gpus-per-trial", type=float, help="The same; 0.25: four workers share a GPU.")
@click.option("--confirm-seeds", type=int, help="Seeds over which each arm's best is retrained.")
@click.option(
    "--finetune",
    metavar="auto|none|topN",
    help="Train frozen encoders of the N best arms on, before confirmation: auto is top3 on a GPU "
    "and none on a CPU, where an epoch takes minutes.",
)
@click.option(
    "--soup",
    type=int,
    help="Checkpoints of a run that may be averaged in the end (default 1: none).",
)
@click.option(
    "--probe-rows",
    type=int,
    help="Test rows on which models are asked what they rely on (default 400; 0: none).",
)
@click.option("--finetune-epochs", type=int, help="Epochs of that second stage (default 5).")
@click.option(
    "--trial-timeout",
    type=Duration(),
    help="Silence after which a trial counts as hung and is ended (default 10m). It says a word an "
    "epoch, and while it encodes; all in all it may take as long as its epochs do.",
)
@click.option("--name", help="The study's name; default: after the task and data.")
@click.option("--out", help="The folder that holds studies (default studies).")
@click.option(
    "--storage",
    metavar="URL",
    help="A database that several studies share, e.g. postgresql+psycopg://user@host/database.",
)
@click.option(
    "--resume",
    metavar="NAME",
    help="Continue the study NAME as it was configured; its time, "
    "workers, timeout, probe rows and subgroups may be given anew.",
)
@click.option("--quiet", is_flag=True, help="Print the result only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    file: Path | None, resume: str | None, quiet: bool, as_json: bool, **flags: Any
) -> None:
    """Search encoders and fusions, compare them with controls, and write a report.

    FILE is a study file in TOML; flags given beside it win over it.
    """
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    if "roles" in given:
        given["roles"] = dict(given["roles"])
    if "subgroup" in given:
        given["subgroup"] = tuple(name for names in given["subgroup"] for name in names)
    settings = settings_of(file, resume, given)
    from mmauto import run
    from mmauto.cli.display import live_display, show_result

    try:
        with live_display(quiet or as_json) as watcher:
            if resume is not None:
                folder = Path(given.get("out", "studies")) / resume
                found = run.resume(folder, watcher, **settings[0])
            else:
                found = run.run(config.from_mapping(*settings), watcher)
    except ConfigError as error:
        # names are checked against the registry and the data, far from the file that gave them
        if file is None or str(file) in str(error):
            raise
        raise ConfigError(f"{file}: {error}") from error
    except KeyboardInterrupt:
        folder = interrupted_folder(resume, given, settings)
        where, name = folder.parent, folder.name
        rest = "" if str(where) == "studies" else f" --out {where}"
        click.echo(
            f"\nstopped; what is finished is stored. Continue with: "
            f"mmauto search --resume {name}{rest}",
            err=True,
        )
        raise click.exceptions.Exit(130) from None
    show_result(found, as_json)


def settings_of(
    file: Path | None, resume: str | None, given: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The mapping for `config.from_mapping` and the source that messages name.

    Raises:
        ConfigError: a resumed study is given settings of another one.
    """
    if resume is not None:
        fixed = [key for key in given if key not in config.NOT_IDENTITY - {"name", "storage"}]
        if file is not None or fixed:
            odd = ", ".join(f"--{key.replace('_', '-')}" for key in fixed)
            raise ConfigError(
                f"--resume continues a study as it was configured, {odd or file} was given beside "
                "it; leave that out, or start a new study with --name"
            )
        return {key: value for key, value in given.items() if key != "out"}, ""
    if file is None:
        return given, ""
    values = read_toml(file)
    config.from_mapping({"task": "-", **values}, str(file))  # names the file where it is at fault
    return {**values, **given}, "" if given else str(file)


def interrupted_folder(
    resume: str | None, given: dict[str, Any], settings: tuple[dict[str, Any], str]
) -> Path:
    """The folder of the study that Ctrl-C stopped."""
    if resume is not None:
        return Path(given.get("out", "studies")) / resume
    return config.from_mapping(*settings).folder
