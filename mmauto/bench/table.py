"""The results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.bench.machine import Machine
from mmauto.bench.results import Measured
from mmauto.bench.row import Row

HEAD = ("row", "ours", "baseline", "ratio", "goal on 2 cores")
QUICK_WARNING = (
    "**Quick run**: tiny sizes that show that everything works. Start-up dominates; the figures of "
    "rows marked so say nothing about speed."
)
BUSY = 0.5
"""Processors that something else keeps busy; with more, seconds are not to be trusted."""


def markdown(found: Sequence[Measured]) -> str:
    """The page: the machine, one table of ratios, how each was measured, and the tables."""
    machines = _machines(found)
    one = len(machines) == 1
    parts = ["# Benchmark", *([QUICK_WARNING] if any(own.quick for own in found) else [])]
    for name, machine in machines.items():
        parts += [*([] if one else [f"**Machine {name}**"]), _machine(machine)]
    names = {machine.same: "" if one else f", machine {n}" for n, machine in machines.items()}
    cells = [
        [f"`{r.name}`{names[own.machine.same]}", _figure(r.ours, r.unit),
         _figure(r.baseline, r.unit), f"**{r.ratio:.3g}**", r.goal]
        for own in found if isinstance(r := own.row, Row)
    ]  # fmt: skip
    if cells:
        parts.append(_table(HEAD, cells))
    for own in found:
        parts += _section(own, names[own.machine.same])
    return "\n\n".join(parts) + "\n"


def _machines(found: Sequence[Measured]) -> dict[int, Machine]:
    """Number from 1 -> machine; of one that measured several times, the rates of the last day."""
    last: dict[tuple[str, int, str, str], Measured] = {}
    for own in found:
        before = last.setdefault(own.machine.same, own)
        if own.day > before.day:
            last[own.machine.same] = own
    return {number: own.machine for number, own in enumerate(last.values(), 1)}


def _section(own: Measured, machine: str) -> list[str]:
    row = own.row
    if isinstance(row, Row):
        facts = [f"- {name}: {text}" for name, text in row.figures.items()]
        facts += [
            f"- every run, {name}: {', '.join(f'{value:.3g}' for value in values)}"
            for name, values in row.runs.items()
        ]
        body = "\n".join(facts)
    else:
        body = _table(row.columns, row.rows)
    measured = f"Measured on {own.day}{machine}{', quick run' if own.quick else ''}" + (
        f"; something else kept {own.load:.1f} processors busy: read ratios, not seconds"
        if own.load > BUSY
        else ""
    )
    what = f"{row.what[0].upper()}{row.what[1:]}."
    return [f"## `{row.name}`{machine}", what, body, f"{row.note}\n\n*{measured}.*"]


def _machine(machine: Machine) -> str:
    rates = [
        f"- matrix products, {rate.device}, {rate.dtype}"
        f"{f', {rate.threads} thread(s)' if rate.threads else ''}: {rate.gflops:.0f} GFLOP/s"
        for rate in machine.rates
    ]
    return "\n".join(
        [
            f"- processor: {machine.processor}, {machine.cores} core(s) usable, "
            f"{machine.memory / 2**30:.0f} GiB; {machine.platform}",
            f"- torch {machine.torch}; device: {machine.device}",
            *rates,
        ]
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
