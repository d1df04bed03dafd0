"""When the trials ran: a bar each, in lanes, so that nothing in a lane overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmauto.plugin import Figure, StudyView, TrialView
from mmauto_sections.brackets import percent
from mmauto_sections.colours import plain, styles
from mmauto_sections.pooled import is_pooled

FAILED = "#C00000"
PALE = 0.35
HATCHES = {"solid": "", "dot": ".", "dash": "/"}
"""An arm's dash as a pattern of its bars."""

UNITS = ((3 * 3600, "hours", 3600), (600, "minutes", 60), (0, "seconds", 1))
"""The unit of the axis by the least span in seconds for which it is used."""


def blocks(study: StudyView) -> list[Figure]:
    """The figure, or nothing before the first trial has ended."""
    ended = sorted(
        (t for t in study.trials if t.started > 0 and t.seconds > 0 and t.state != "running"),
        key=lambda trial: (trial.started, trial.id),
    )
    if not ended:
        return []
    begin = ended[0].started
    span = max(trial.started + trial.seconds for trial in ended) - begin
    lanes = packed(ended)
    rows = max(lanes) + 1
    idle = idle_share(ended, lanes)
    unit, one = next((name, size) for least, name, size in UNITS if span >= least)
    left = len(study.trials) - len(ended)
    drawn = list(zip(ended, lanes, strict=True))
    return [
        Figure(
            list(_traces(study, drawn, begin, one)),
            {
                "barmode": "overlay",
                "xaxis": {"title": {"text": f"{unit} since the first trial"}},
                "yaxis": {
                    "title": {"text": "lane"}, "range": [rows + 0.5, 0.5], "showgrid": False,
                    "dtick": max(1, rows // 10),
                },
            },
            "A bar is a trial: it starts when the trial was handed out and is as long as the trial "
            "computed; pale: pruned, red: failed; point at it for its name. Those that overlap lie "
            "in different lanes; those of a pack share a processor, and each counts its share. Of "
            f"{rows} lane{'s' if rows > 1 else ''} over {span / one:.1f} {unit}, "
            f"{percent(idle)} is idle, {_pauses(study)} included."
            + (f" Not drawn, for they still run or never did: {left}." if left else ""),
            f"{len(ended)} trials in {rows} lanes over {span / one:.1f} {unit}, "
            f"{percent(idle)} idle",
            180 + 26 * min(rows, 14),
        )
    ]  # fmt: skip


def _pauses(study: StudyView) -> str:
    if is_pooled(study):
        folds = study.config["folds"]
        return f"the confirmation runs between the {folds} folds and pauses between sessions"
    return "pauses between sessions"


def packed(trials: Sequence[TrialView]) -> list[int]:
    """The lane of each trial: the first that is free when it starts.

    Args:
        trials: by their start.
    """
    free: list[float] = []  # when each lane's last trial ends
    lanes = []
    for trial in trials:
        lane = next((n for n, end in enumerate(free) if end <= trial.started), len(free))
        free[lane : lane + 1] = [trial.started + trial.seconds]
        lanes.append(lane)
    return lanes


def idle_share(trials: Sequence[TrialView], lanes: Sequence[int]) -> float:
    """The share of all lanes' time, first start to last end, in which no trial runs."""
    begin = min(trial.started for trial in trials)
    span = max(trial.started + trial.seconds for trial in trials) - begin
    busy = sum(trial.seconds for trial in trials)
    return max(0.0, 1 - busy / ((max(lanes) + 1) * span))


def _traces(
    study: StudyView, drawn: Sequence[tuple[TrialView, int]], begin: float, one: int
) -> Iterable[dict[str, Any]]:
    """An arm's trials in its colour, pruned ones paler; then all that failed."""
    looks = styles(study)
    for arm in study.arms:
        look, named = looks[arm.name], False
        for state, opacity in (("complete", 1.0), ("pruned", PALE)):
            own = [pair for pair in drawn if pair[0].arm == arm.name and pair[0].state == state]
            if own:
                yield {
                    **_bars(own, begin, one), "name": plain(arm.name), "showlegend": not named,
                    "legendgroup": plain(arm.name), "marker": {
                        "color": look["color"], "opacity": opacity,
                        "pattern": {"shape": HATCHES[look["dash"]]},
                    },
                }  # fmt: skip
                named = True
    failed = [pair for pair in drawn if pair[0].state == "failed"]
    if failed:
        yield {**_bars(failed, begin, one), "name": "failed", "marker": {"color": FAILED}}


def _bars(own: Sequence[tuple[TrialView, int]], begin: float, one: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "width": 0.85,
        "base": [(trial.started - begin) / one for trial, _ in own],
        "x": [trial.seconds / one for trial, _ in own],
        "y": [lane + 1 for _, lane in own],
        "hovertext": [
            f"{plain(trial.arm)}, trial {trial.index + 1}: {trial.state}, {trial.seconds:.1f} s"
            for trial, _ in own
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
