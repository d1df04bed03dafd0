"""What a search looks like in a terminal, in a pipe, and when it has ended."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmauto.cli.findings import show_data
from mmauto.findings import Finding, RoleGuess
from mmauto.tuning.watch import Watcher
from mmauto.views import ArmView, Comparison, Interval, Standing, StudyView, TrialView

if TYPE_CHECKING:
    from mmauto.study import Study


EVERY = 5.0
"""Seconds between two lines on one long step in a log."""

HEADS = (
    "valid.", "test [95 % interval]", "gain over reference", "p (Holm)", "train s", "parameters",
)  # fmt: skip
"""Of the leaderboard, beside the names; the most important first."""

PADDING = 3
"""Columns of the terminal about a column of the table."""

SHORTEST = 10
"""Letters of an arm's name that are left at least."""


@contextmanager
def live_display(quiet: bool) -> Iterator[Watcher]:
    """The watcher that fits: a live table on a terminal, plain lines in a pipe, or silence."""
    console = Console(stderr=True)
    if quiet:
        yield Watcher()
    elif not console.is_terminal:
        yield PlainLines()
    else:
        board = Board(console)
        with Live(board, console=console, refresh_per_second=4, transient=True):
            yield board


class PlainLines(Watcher):
    """A line an event, for logs."""

    def __init__(self) -> None:
        self.start, self.done, self.total = time.monotonic(), 0, 0
        self.kind, self.said = "", 0.0

    def _line(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self.start:6.1f}s] {text}", err=True)

    def started(
        self, arms: Sequence[ArmView], totals: Mapping[str, int], seeds: int, maximise: bool
    ) -> None:
        """One line with the plan."""
        self.done, self.total = 0, sum(totals.values())
        self._line(f"{len(arms)} arms, {self.total} trials, then {seeds} confirmation runs an arm")

    def data(self, roles: Sequence[RoleGuess], findings: Sequence[Finding]) -> None:
        """The table of roles, and a line a finding."""
        show_data(Console(stderr=True), roles, findings)

    def note(self, text: str) -> None:
        """A line."""
        self._line(f"note: {text}")

    def saying(self, text: str) -> None:
        """A line when the subject changes, and every `EVERY` seconds on how far a step is."""
        if not text.startswith(("encoding", "confirming", "writing", "asking", "looking")):
            return
        kind = "asking" if text.startswith("asking") else text.partition(":")[0]
        now = time.monotonic()
        if kind != self.kind or now - self.said >= EVERY:
            self.kind, self.said = kind, now
            self._line(text)

    def ended(self, trial: TrialView) -> None:
        """A line a trial."""
        self.done += 1
        value = "" if trial.value is None else f" {trial.value:.4f}"
        why = f" ({trial.failure.kind}: {trial.failure.message})" if trial.failure else ""
        self._line(
            f"{self.done}/{self.total} {trial.arm} #{trial.index + 1} {trial.state}{value}{why}"
        )

    def confirmed(self, arm: str, seed: int, value: float | None) -> None:
        """A line a run."""
        self._line(
            f"confirmed {arm} seed {seed + 1}: {'failed' if value is None else f'{value:.4f}'}"
        )


class Board(Watcher):
    """A live table: arms, trials by state, best so far, time left."""

    def __init__(self, console: Console):
        self.console = console
        self.start = time.monotonic()
        self.arms: Sequence[ArmView] = ()
        self.totals: Mapping[str, int] = {}
        self.seeds = 0
        self.states: dict[str, Counter[str]] = {}
        self.best: dict[str, float] = {}
        self.better: Callable[[float, float], float] = max
        self.seen: Counter[str] = Counter()
        self.now = "reading the data"

    def started(
        self, arms: Sequence[ArmView], totals: Mapping[str, int], seeds: int, maximise: bool
    ) -> None:
        """The plan."""
        self.arms, self.totals, self.seeds = arms, totals, seeds
        self.better = max if maximise else min
        self.states = {arm.name: Counter() for arm in arms}
        self.best, self.seen = {}, Counter()  # a search of several folds begins anew in each

    def data(self, roles: Sequence[RoleGuess], findings: Sequence[Finding]) -> None:
        """Above the table, where it stays."""
        show_data(self.console, roles, findings)

    def note(self, text: str) -> None:
        """Above the table, where it stays."""
        self.console.print(Text("note: ", style="yellow") + Text(text))

    def saying(self, text: str) -> None:
        """The line under the table."""
        self.now = text

    def ended(self, trial: TrialView) -> None:
        """A tick."""
        self.states[trial.arm][trial.state] += 1
        if trial.value is not None:
            self.best[trial.arm] = self.better(self.best.get(trial.arm, trial.value), trial.value)

    def confirmed(self, arm: str, seed: int, value: float | None) -> None:
        """A tick."""
        self.seen[arm] += 1

    def __rich__(self) -> Table:
        grid = Table.grid()
        grid.add_row(self._arms())
        grid.add_row(
            Text(f"{self._progress()}  {self.now}", style="dim", no_wrap=True, overflow="ellipsis")
        )
        return grid

    def _progress(self) -> str:
        spent = time.monotonic() - self.start
        done = sum(sum(states.values()) for states in self.states.values())
        total = sum(self.totals.values())
        runs, all_runs = sum(self.seen.values()), self.seeds * len(self.arms)
        share = (done + runs) / max(1, total + all_runs)
        left = f", about {_clock(spent * (1 - share) / share)} left" if share > 0.05 else ""
        return f"{done}/{total} trials, {runs}/{all_runs} confirmed, {_clock(spent)}{left}"

    def _arms(self) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        table.add_column("arm")
        for name in ("done", "pruned", "failed", "best (validation)", "confirmed"):
            table.add_column(name, justify="right")
        for arm in self.arms:
            states = self.states[arm.name]
            ended, best = sum(states.values()), self.best.get(arm.name)
            table.add_row(
                arm.name,
                f"{ended}/{self.totals[arm.name]}",
                str(states["pruned"] or "·"),
                Text(str(states["failed"] or "·"), style="red" if states["failed"] else ""),
                "·" if best is None else f"{best:.4f}",
                f"{self.seen[arm.name] or '·'}",
            )
        return table


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def show_result(study: Study, as_json: bool) -> None:
    """The verdict, the leaderboard and the report's path, on standard output."""
    view = study.view()
    report = study.folder / "report.html"
    if as_json:
        from mmauto.answers.compare import leaderboard_rows
        from mmauto.report.export import finite

        rows = leaderboard_rows(view.comparison)
        body: dict[str, Any] = {
            "study": view.name, "state": study.state, "simulated": view.task.simulated,
            "verdict": list(view.comparison.verdict),
            "leaderboard": [{k: finite(v) for k, v in row.items()} for row in rows],
            "report": str(report),
        }  # fmt: skip
        click.echo(json.dumps(body, indent=1))
        return
    console = Console()
    if view.task.simulated:
        console.print("[bold yellow]Simulated data.[/] Nothing here says anything about patients.")
    console.print(leaderboard_table(view, console.width))
    for sentence in view.comparison.verdict:
        console.print(Text(sentence))
    failed = sum(trial.state == "failed" for trial in view.trials)
    if failed:
        own = f"{study.folder}/folds/1" if study.folded else str(study.folder)
        console.print(
            Text(f"{failed} of {len(view.trials)} trials failed: mmauto trials {own} --failed")
        )
    console.print(Text(f"report: {report}", style="bold"))


def leaderboard_table(view: StudyView, width: int) -> Table:
    """The comparison as a terminal table; what does not fit is left out."""
    found = view.comparison
    arrow = "higher is better" if found.maximise else "lower is better"
    table = Table(
        title=f"{found.target} by {found.metric} ({arrow})"
        + (f"; reference: {found.reference}" if found.reference else ""),
        title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False,
    )  # fmt: skip
    rows = [_figures(line, found) for line in found.lines]
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    # figures are never cut: the last columns are left out, then the name gives way
    shown = len(HEADS)
    while shown > 1 and width - _taken(widths[:shown]) < SHORTEST:
        shown -= 1
    room = max(SHORTEST, width - _taken(widths[:shown]))
    table.add_column("arm", no_wrap=True)
    for head in HEADS[:shown]:
        table.add_column(head, justify="right", no_wrap=True)
    for line, figures in zip(found.lines, rows, strict=True):
        style = "bold" if line.arm.name == found.winner else ""
        table.add_row(Text(shortened(line.arm.name, room), style=style), *figures[:shown])
    return table


def _taken(widths: Sequence[int]) -> int:
    """Columns of the terminal that everything but the names needs."""
    return sum(widths) + PADDING * (1 + len(widths))


def shortened(name: str, room: int) -> str:
    """At most so many letters, those of the middle left out: names differ at their ends."""
    if len(name) <= room:
        return name
    return f"{name[: room // 2]}…{name[len(name) - (room - 1) // 2 :]}"


def _figures(line: Standing, found: Comparison) -> list[str]:
    """The cells beside the name, under `HEADS`."""
    more = line.difference
    return [
        f"{line.validation:.3f}",
        f"{line.test.value:.3f} [{line.test.low:.3f}, {line.test.high:.3f}]",
        _gain(more) if more else "reference" * (line.arm.name == found.reference),
        _p_value(line),
        f"{line.costs.train_seconds:.1f}",
        f"{line.costs.parameters:,}" if line.costs.parameters else "–",
    ]


def _p_value(line: Standing) -> str:
    """Allowing for the number of fusions; other arms have a test of their own, in brackets."""
    if math.isnan(line.p):
        return ""
    return f"({line.p:.4f})" if math.isnan(line.p_holm) else f"{line.p_holm:.4f}"


def _gain(found: Interval) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
