"""The leaderboard as files, from the same rows that the terminal and the report show."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from mmauto.answers.compare import leaderboard_rows
from mmauto.views import Comparison

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_leaderboard(comparison: Comparison, folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``leaderboard.json``, each under a temporary name first."""
    rows = leaderboard_rows(comparison)
    fresh = folder / "leaderboard.csv.tmp"
    with fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if rows:
            writer.writerow(rows[0])
            writer.writerows([inert(value) for value in row.values()] for row in rows)
    fresh.replace(folder / "leaderboard.csv")
    body = {
        "target": comparison.target,
        "metric": comparison.metric,
        "maximise": comparison.maximise,
        "winner": comparison.winner,
        "reference": comparison.reference,
        "verdict": list(comparison.verdict),
        "rows": [{key: finite(value) for key, value in row.items()} for row in rows],
    }
    fresh = folder / "leaderboard.json.tmp"
    fresh.write_text(json.dumps(body, indent=1), encoding="utf-8")
    fresh.replace(folder / "leaderboard.json")


def inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: texts that look like one get a quote."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def finite(value: Any) -> Any:
    """JSON has no NaN: an undefined number becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
