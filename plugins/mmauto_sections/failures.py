"""What failed, and why."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from mmauto.plugin import Block, Code, Failure, Section, StudyView, Table, Text
from mmauto_sections.folding import short
from mmauto_sections.pooled import is_pooled

CONFIRMING = " (confirmation)"
KINDS = {
    "oom": "out of memory", "nan": "numbers that are not finite", "data": "unusable data",
    "plugin": "an error in a plugin", "timeout": "no sign of life", "killed": "killed from outside",
    "disk": "a full disk",
}  # fmt: skip


class Failures(Section):
    """Failed trials and confirmation runs by kind and message."""

    name = "failures"
    summary = "failed trials by kind, with their messages"
    reference = "mmauto"
    title = "Failures"
    order = 120

    def render(self, study: StudyView) -> Sequence[Block]:
        """How many of which kind, and a table; a sentence when there is none."""
        counted: Counter[tuple[str, str, str]] = Counter()
        spent: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
        for arm, failure, seconds, memory in _failed(study):
            key = (arm, failure.kind, failure.message)
            counted[key] += 1
            spent.setdefault(key, []).append((seconds, memory))
        if not counted:
            return [Text("No trial failed.")]
        rows: list[list[str | int]] = []
        for (arm, kind, text), times in counted.most_common():
            seconds, memory = map(max, zip(*spent[arm, kind, text], strict=True))
            size = f"{memory / 2**20:,.0f} MB" if memory else "unknown"
            rows.append([arm, kind, times, size, f"{seconds:,.1f}", text])
        table = Table(
            ("arm", "class", "times", "peak memory", "seconds", "message"),
            rows,
            "Memory and seconds are those of the run that took most. A failed trial counts towards "
            "its arm's budget and never ends the study.",
        )
        return [
            Text(_summed(counted)),
            short(table, "Every message"),
            Code(
                f"mmauto trials {shlex.quote(_where(study))} --failed",
                "Each of them; with its number behind the name, where it broke and its parameters:",
            ),
        ]


def _where(study: StudyView) -> str:
    """The study whose trials can be listed: of folds, the first."""
    return f"{study.name}/folds/1" if is_pooled(study) else study.name


def _failed(study: StudyView) -> Iterator[tuple[str, Failure, float, int]]:
    """Arm, failure, seconds and bytes of memory of each run that failed."""
    for trial in study.trials:
        if trial.failure:
            yield trial.arm, trial.failure, trial.seconds, trial.costs.peak_memory
    for run in study.confirmations:
        if run.failure:
            costs = run.costs
            yield run.arm + CONFIRMING, run.failure, costs.train_seconds, costs.peak_memory


def _summed(counted: Counter[tuple[str, str, str]]) -> str:
    """How many of each kind."""
    kinds: Counter[str] = Counter()
    for (_, kind, _), times in counted.items():
        kinds[kind] += times
    arms = len({arm.removesuffix(CONFIRMING) for arm, _, _ in counted})
    each = ", ".join(f"{KINDS.get(kind, kind)} in {times}" for kind, times in kinds.most_common())
    runs = f"{counted.total():,} run{'' if counted.total() == 1 else 's'}"
    return f"{runs} of {arms} arm{'' if arms == 1 else 's'} failed: {each}."
