"""Blocks as HTML: every text that a user, a plugin or a file gave is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from mmauto.blocks import Block, Code, Figure, Fold, Gallery, Headline, Table, Text
from mmauto.report.gallery import render_gallery
from mmauto.report.thin import MOST_POINTS, thinned

LONG = 40
"""Characters from which a cell is a sentence, which wraps."""

FINDER = (
    '<p class="finder"><input type="search" placeholder="filter rows" aria-label="filter rows">'
    '<output aria-live="polite"></output></p>'
)

FILTERED = 8
"""Rows from which a sortable table has a box that filters them."""

TALL = 25
"""Rows from which a table scrolls in a window of its own, under its heads."""

STYLES = ("lead", "note", "warning")

FOLDED = 16
"""Lines from which a piece of code is folded away under its caption."""


def render_block(block: Block, name: str) -> str:
    """One block; ``name`` is unique on the page."""
    if isinstance(block, Text):
        style = f' class="{block.style}"' if block.style in STYLES else ""
        return f"<p{style}>{escape(block.text)}</p>"
    if isinstance(block, Headline):
        return render_headline(block)
    if isinstance(block, Table):
        return render_table(block, name)
    if isinstance(block, Figure):
        return render_figure(block, name)
    if isinstance(block, Gallery):
        return render_gallery(block)
    if isinstance(block, Fold):
        return render_fold(block, name)
    return render_code(block)


def render_fold(fold: Fold, name: str) -> str:
    """Hidden until its title is clicked; paper shows all."""
    inside = "".join(render_block(block, f"{name}-{n}") for n, block in enumerate(fold.blocks))
    return f'<details class="fold"><summary>{escape(fold.title)}</summary>{inside}</details>'


def render_headline(headline: Headline) -> str:
    """The answer on a card; the badge's colour only repeats its words."""
    numbers = "".join(
        f"<div><dt>{escape(one.label)}</dt><dd><strong>{escape(one.value)}</strong>"
        f"<span>{escape(one.note)}</span></dd></div>"
        for one in headline.numbers
    )
    tone = headline.tone if headline.tone in ("good", "bad") else "open"
    return (
        f'<div class="headline {tone}"><p class="decision">{escape(headline.badge)}</p>'
        f"{f'<dl>{numbers}</dl>' if numbers else ''}</div>"
    )


def render_table(table: Table, name: str) -> str:
    """A table that scrolls sideways by itself, so that a narrow page does not."""
    columns = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    numeric = [_numeric(cells) for cells in columns]
    digits = [_digits(cells) for cells in columns]
    heads = "".join(
        f'<th scope="col"{_number(right)}>{_head(title, table.sortable)}</th>'
        for title, right in zip(table.columns, numeric, strict=True)
    )
    lines = []
    for row in table.rows:
        cells = "".join(
            f"<td{_kind(cell, right)}{_sort_key(cell)}>{escape(shown(cell, places))}</td>"
            for cell, right, places in zip(row, numeric, digits, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    kind = ' class="sortable"' if table.sortable else ""
    tall = " tall" if len(table.rows) > TALL else ""
    finder = FINDER if table.sortable and len(table.rows) >= FILTERED else ""
    return (
        f'<figure class="table">{finder}'
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-label="table"><table{kind}>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        f"{_foot(table.caption, name, 'table')}</figure>"
    )


def render_figure(figure: Figure, name: str) -> str:
    """A placeholder and its data as JSON, which the page's script draws."""
    data, points = thinned(figure.data)
    body = {"data": data, "layout": dict(figure.layout)}
    caption = figure.caption
    if points > MOST_POINTS:
        caption += f" Of {points:,} points about {MOST_POINTS:,} are drawn, evenly chosen."
    return (
        f'<figure><div class="plot" id="{escape(name)}" role="img" '
        f'aria-label="{escape(figure.alt)}" style="height:{int(figure.height)}px"></div>'
        f'<script type="application/json" data-for="{escape(name)}">{safe_json(body)}</script>'
        f"{_foot(caption, name, 'figure')}</figure>"
    )


def _foot(caption: str, name: str, of: str) -> str:
    """What to know about a table or a figure, and its data to take along."""
    return (
        f'<figcaption><span>{escape(caption)}</span><button type="button" class="csv" '
        f'data-name="{escape(name)}" aria-label="download the data of this {of} as CSV">CSV'
        "</button></figcaption>"
    )


def render_code(code: Code) -> str:
    """Preformatted text with a button that copies it; long text is folded away."""
    body = (
        '<div class="code"><button type="button" class="copy">copy</button>'
        f'<pre tabindex="0">{escape(code.text)}</pre></div>'
    )
    count = code.text.count("\n") + 1
    if count > FOLDED:
        title = f"{escape(code.caption)} <small>{count} lines</small>"
        return f"<details><summary>{title}</summary>{body}</details>"
    return f"{f'<p>{escape(code.caption)}</p>' if code.caption else ''}{body}"


def safe_json(value: Any) -> str:
    """JSON that no ``</script>`` or comment inside a text can break out of; NaN becomes null."""
    text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shown(cell: str | int | float | None, digits: int = 3) -> str:
    """A cell as text: a float with ``digits`` decimals, thousands marked, a dash for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        small = 0 < cell < 0.5 * 10**-digits  # a p value is never 0
        return f"< {10**-digits:.{digits}f}" if small else f"{cell:,.{digits}f}"
    return cell


def _numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def _digits(cells: Sequence[object]) -> int:
    """Decimals that suit the largest float of a column, the same for each of its cells."""
    sizes = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)]
    largest = max(sizes, default=0.0)
    return 3 if largest < 10 else 1 if largest < 1000 else 0


def _number(right: bool) -> str:
    return ' class="number"' if right else ""


def _kind(cell: object, right: bool) -> str:
    # sentences wrap; names, numbers and intervals do not
    return ' class="wrap"' if isinstance(cell, str) and len(cell) > LONG else _number(right)


def _head(title: str, sortable: bool) -> str:
    return f'<button type="button">{escape(title)}</button>' if sortable else escape(title)


def _sort_key(cell: object) -> str:
    known = isinstance(cell, int | float) and not math.isnan(cell)
    return f' data-sort="{float(cell)!r}"' if known else ""  # type: ignore[arg-type]
