"""The command line: one lazy group, so that ``mmauto --help`` loads no heavy library."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import click

from mmauto.errors import MmautoError
from mmauto.version import __version__

STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Control characters, and those that change the direction in which text is shown."""

COMMANDS = {
    "search": ("mmauto.cli.search", "Search encoders and fusions, compare them, write a report."),
    "data": ("mmauto.cli.data", "Check a table: what its columns are, and what is wrong with it."),
    "show": ("mmauto.cli.show", "Show a stored study: arms, trials, best, files."),
    "trials": ("mmauto.cli.trials", "List a study's trials; those that failed, and why."),
    "report": ("mmauto.cli.report", "Write a study's report anew, or compare studies."),
    "dashboard": ("mmauto.cli.dashboard", "Browse a study's trials with optuna-dashboard."),
    "predict": ("mmauto.cli.predict", "Predict the rows of a table with a study's best model."),
    "evaluate": ("mmauto.cli.evaluate", "Score a study's models on new labelled rows."),
    "export": ("mmauto.cli.export", "Write a model as ONNX for other runtimes."),
    "bench": ("mmauto.cli.bench", "Measure searches against loops written by hand."),
    "cache": ("mmauto.cli.cache", "List or clear what encoders have computed."),
    "plugins": ("mmauto.cli.plugins", "List encoders, fusions and other components."),
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is used; help comes from the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mmauto")
def cli() -> None:
    """Does fusion help on your data, which one, how sure is that, and at what cost?"""


def in_line(text: str) -> str:
    """A text in one line that moves no cursor and turns no text around, as it came from a file."""
    return STEERING.sub(" ", text)


def main(arguments: list[str] | None = None) -> Any:
    """The console script: errors that a user can cause are one sentence and exit code 2."""
    try:
        code = cli(args=arguments, standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except MmautoError as error:
        click.echo(f"mmauto: {in_line(str(error))}", err=True)
        code = 2
    except BrokenPipeError:
        # the reader of a pipe went away (`mmauto plugins | head`); nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
