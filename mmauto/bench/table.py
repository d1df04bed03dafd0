"""The results as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mmauto.bench.machine import Machine
from mmauto.bench.row import Grid, Row

HEAD = ("row", "ours", "baseline", "ratio", "goal on 2 cores")
QUICK_WARNING = (
    "**Quick run**: tiny sizes that show that everything works. Start-up dominates; these figures "
    "say nothing about speed."
)


def markdown(machine: Machine, rows: Sequence[Row | Grid], quick: bool) -> str:
    """The page: the machine, one table of ratios, how each was measured, and the tables."""
    ratios = [row for row in rows if isinstance(row, Row)]
    parts = ["# Benchmark", *([QUICK_WARNING] if quick else []), _machine(machine)]
    if ratios:
        cells = [
            [f"`{r.name}`", _figure(r.ours, r.unit), _figure(r.baseline, r.unit),
             f"**{r.ratio:.3g}**", r.goal]
            for r in ratios
        ]  # fmt: skip
        parts.append(_table(HEAD, cells))
    for row in rows:
        parts += [f"## `{row.name}`", f"{row.what[0].upper()}{row.what[1:]}."]
        if isinstance(row, Row):
            facts = [f"- {name}: {text}" for name, text in row.figures.items()]
            facts += [
                f"- every run, {name}: {', '.join(f'{value:.3g}' for value in values)}"
                for name, values in row.runs.items()
            ]
            parts.append("\n".join(facts))
        else:
            parts.append(_table(row.columns, row.rows))
        parts.append(row.note)
    return "\n\n".join(parts) + "\n"


def write(
    folder: Path, machine: Machine, rows: Sequence[Row | Grid], quick: bool
) -> tuple[Path, Path]:
    """Write ``results.md`` and ``results.json``; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "results.md", folder / "results.json"
    page.write_text(markdown(machine, rows, quick), encoding="utf-8")
    values = {"quick": quick, "machine": asdict(machine), "rows": [asdict(row) for row in rows]}
    data.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return page, data


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
            f"- load in the minute before: {machine.load:.1f}"
            + (" (someone else was busy: read ratios, not seconds)" if machine.load > 1 else ""),
            *rates,
        ]
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
