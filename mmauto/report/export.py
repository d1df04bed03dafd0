"""The leaderboard in other formats, from the same rows that the terminal and the report show."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmauto.answers.compare import leaderboard_rows
from mmauto.engine.metrics import METRICS
from mmauto.views import Comparison

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # arguments, after the end of a row
}  # fmt: skip


def write_leaderboard(comparison: Comparison, folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``leaderboard.json``."""
    write_whole(folder / "leaderboard.csv", as_csv(comparison))
    write_whole(folder / "leaderboard.json", as_json(comparison))


def write_whole(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that a reader never sees half.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_bytes(text.encode(errors="replace"))  # half a character, of a plugin's text
    fresh.replace(path)


def as_csv(comparison: Comparison) -> str:
    """All columns, unrounded; no cell is a formula. Empty where nothing is confirmed."""
    rows = leaderboard_rows(comparison)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if rows:
        writer.writerow(rows[0])
        writer.writerows([inert(value) for value in row.values()] for row in rows)
    return text.getvalue()


def as_json(comparison: Comparison) -> str:
    """All columns, unrounded, with the verdict and what they are about."""
    body = {
        "target": comparison.target,
        "metric": comparison.metric,
        "maximise": comparison.maximise,
        "winner": comparison.winner,
        "reference": comparison.reference,
        "verdict": list(comparison.verdict),
        "rows": [
            {key: finite(value) for key, value in row.items()}
            for row in leaderboard_rows(comparison)
        ],
    }
    return json.dumps(body, indent=1)


def as_markdown(comparison: Comparison) -> str:
    """The table that fits a page, rounded, and the verdict below it."""
    rows = _rounded(comparison)
    lines = [[in_markdown(cell) for cell in row] for row in rows]
    table = ["| " + " | ".join(line) + " |" for line in lines]
    table.insert(1, "|---|---|" + "---:|" * (len(rows[0]) - 2))
    said = " ".join(in_markdown(sentence) for sentence in comparison.verdict)
    return "\n".join([in_markdown(_title(comparison)), "", *table, "", said, ""])


def as_latex(comparison: Comparison) -> str:
    """A ``table`` environment for the package booktabs; the verdict stands above as a comment."""
    head, *rows = ([in_latex(cell) for cell in row] for row in _rounded(comparison))
    return "\n".join(
        [
            *(f"% {' '.join(sentence.split())}" for sentence in comparison.verdict),
            r"\begin{table}  % needs \usepackage{booktabs}",
            r"\centering",
            f"\\caption{{{in_latex(_title(comparison))}}}",
            f"\\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "md": as_markdown, "json": as_json, "csv": as_csv, "latex": as_latex,
}  # fmt: skip


def inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: texts that look like one get a quote.

    A number stays a number, also as a text: ids are joined with other tables.
    """
    if not isinstance(value, str) or not value.startswith(FORMULA) or _number(value):
        return value
    return f"'{value}"


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text == text.strip()


def finite(value: Any) -> Any:
    """JSON has no NaN: an undefined number becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_markdown(text: str) -> str:
    """A text in one line that Markdown and HTML take for nothing but text."""
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", " ".join(text.split()))


def in_latex(text: str) -> str:
    """A text in one line that LaTeX takes for nothing but text."""
    return "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _title(comparison: Comparison) -> str:
    better = "higher" if comparison.maximise else "lower"
    against = f"; gain over {comparison.reference}" if comparison.reference else ""
    return (
        f"{comparison.target} by {METRICS[comparison.metric].label} ({better} is better): means "
        f"over seeds, 95 % intervals{against}; p allows for the number of fusions, in brackets it "
        "does not"
    )


def _rounded(comparison: Comparison) -> list[list[str]]:
    """A head and a line an arm, as text with three decimals."""
    head = [
        "arm", "kind", "validation", "test", "95 % interval", "gain", "95 % interval", "p",
        "train s", "parameters",
    ]  # fmt: skip
    return [head, *(_cells(row) for row in leaderboard_rows(comparison))]


def _cells(row: Mapping[str, Any]) -> list[str]:
    gained = row["difference"] is not None
    return [
        row["arm"],
        row["stage"],
        f"{row['validation']:.3f}",
        f"{row['test']:.3f}",
        f"{row['test_low']:.3f} to {row['test_high']:.3f}",
        f"{row['difference']:+.3f}" if gained else "",
        f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}" if gained else "",
        _p_value(row["p"], row["p_holm"]),
        f"{row['train_seconds']:.1f}",
        f"{row['parameters']:,}" if row["parameters"] else "–",
    ]


def _p_value(p: float, corrected: float) -> str:
    if math.isnan(p):
        return ""
    return f"({p:.4f})" if math.isnan(corrected) else f"{corrected:.4f}"
