"""The page that compares studies: one leaderboard on the same rows, ranks over data sets."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mmauto.answers.ranks import ranking
from mmauto.answers.several import Duel, duels, merged, on_same_rows, settings
from mmauto.blocks import Block, Table, Text
from mmauto.engine.metrics import METRICS
from mmauto.report.page import render, render_blocks
from mmauto.report.ranks import rank_blocks
from mmauto.version import __version__
from mmauto.views import Comparison, Interval, Standing, StudyView

LEVEL = 0.05

Part = tuple[str, str, Sequence[Block]]
"""Name, title and blocks of a section."""


@dataclass(frozen=True)
class Several:
    """Compared studies.

    Attributes:
        comparison: all arms as ``STUDY/ARM``; None where the studies have different rows.
    """

    title: str
    facts: str
    simulated: bool
    parts: Sequence[Part]
    comparison: Comparison | None

    def page(self) -> str:
        """The page as HTML."""
        badge = '<span class="badge">simulated data</span>' if self.simulated else ""
        header = (
            '<header><div><p class="kicker">mmauto comparison</p>'
            f'<h1>{escape(self.title)} {badge}</h1><p class="facts">{escape(self.facts)}</p></div>'
            '<button type="button" id="theme" aria-label="switch between light and dark">'
            "light / dark</button></header>"
        )
        parts = [(name, title, render_blocks(name, blocks)) for name, title, blocks in self.parts]
        footer = f"<footer>mmauto {__version__}: chosen on validation, estimated on test</footer>"
        return render(self.title, header, parts, footer)


def several(views: Sequence[StudyView]) -> Several:
    """Compare studies, whose names must differ.

    Raises:
        ConfigError: a study has nothing confirmed, or they have nothing in common.
    """
    title = ", ".join(view.name for view in views)
    simulated = any(view.task.simulated for view in views)
    configured = ("settings", "What differs", _settings(views))
    if not on_same_rows(views):
        found = ranking(views)
        parts = [("ranks", "Average ranks", rank_blocks(views, found)), configured]
        return Several(title, f"{len(views)} studies of different rows", simulated, parts, None)
    whole = merged(views)
    task, table = whole.task, whole.comparison
    facts = (
        f"target {task.primary} by {METRICS[task.metric].label} · the same "
        f"{len(whole.ids['test']):,} test rows"
    )
    won = duels(views, whole)
    parts = [
        ("winners", "The winners", _duels(won, METRICS[task.metric].label)),
        ("leaderboard", "All arms", _leaderboard(table)),
        configured,
    ]
    return Several(title, facts, simulated, parts, table)


def _duels(found: Sequence[Duel], label: str) -> list[Block]:
    rows = [
        (duel.ours, duel.theirs, *_gain(duel.gain), _known(duel.p), _known(duel.p_holm))
        for duel in found
    ]
    columns = ("winner", "against", "gain", "95 % interval", "p", "p (Holm)")
    caption = (
        f"Gain in {label} of the first over the second, positive when better: the same test rows, "
        "paired by row and by seed. Intervals resample seeds and rows (whole groups); p swaps "
        "predictions row by row, Holm's allows for the number of pairs. Each study's winner was "
        "chosen on its own validation rows."
    )
    return [*(Text(_told(duel, label), "lead") for duel in found), Table(columns, rows, caption)]


def _told(duel: Duel, label: str) -> str:
    gain = duel.gain
    if gain is None:
        return f"{duel.ours} and {duel.theirs} have no seed in common, so they are not paired."
    size = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] in {label}"
    # as in a study's verdict, the interval and the test must both say so
    if not duel.p_holm < LEVEL or gain.low <= 0 <= gain.high:
        return f"These rows cannot tell {duel.ours} from {duel.theirs}: the difference is {size}."
    return f"{duel.ours} {'beats' if gain.low > 0 else 'is worse than'} {duel.theirs}, by {size}."


def _leaderboard(found: Comparison) -> list[Block]:
    better = "higher" if found.maximise else "lower"
    gain = (
        f"The gain is that over {found.reference}, the single modality of all studies that is best "
        "on validation. "
        if found.reference
        else ""
    )
    columns = (
        "study/arm", "kind", "validation", "test", "95 % interval", "gain",
        "95 % interval of the gain", "p (Holm)", "train, s", "parameters",
    )  # fmt: skip
    caption = (
        f"{METRICS[found.metric].label} for {found.target}, {better} is better; means over seeds. "
        "The order is that of validation, which compares studies fairly only where their "
        f"validation rows are the same; ★ is the first. {gain}Holm's p allows for all fusions of "
        "all studies."
    )
    return [Table(columns, [_line(one, found) for one in found.standings], caption, sortable=True)]


def _line(line: Standing, found: Comparison) -> list[str | int | float | None]:
    return [
        f"{line.arm.name} ★" if line.arm.name == found.winner else line.arm.name,
        line.arm.stage,
        line.validation,
        line.test.value,
        _between(line.test),
        *((None, "reference") if line.arm.name == found.reference else _gain(line.difference)),
        _known(line.p_holm),
        line.costs.train_seconds or None,
        line.costs.parameters or None,
    ]


def _gain(gain: Interval | None) -> tuple[float | None, str | None]:
    return (None, None) if gain is None else (gain.value, _between(gain))


def _between(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _known(p: float) -> str | None:
    return None if math.isnan(p) else f"{p:.4f}"


def _settings(views: Sequence[StudyView]) -> list[Block]:
    rows = [(name, *map(_setting, values)) for name, values in settings(views)]
    versions = [str(view.environment.get("versions", {}).get("mmauto", "")) for view in views]
    if len(set(versions)) > 1:
        rows.append(("mmauto itself", *versions))
    if not rows:
        return [Text("The studies have the same configuration.")]
    caption = "Settings in which the studies differ; a dash: not set."
    return [Table(("setting", *(view.name for view in views)), rows, caption)]


def _setting(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)
