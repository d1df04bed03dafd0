"""Blocks as HTML: every text that a user, a plugin or a file gave is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from mmauto.views import Block, Code, Figure, Table, Text

LONG = 40


def render_block(block: Block, name: str) -> str:
    """One block; ``name`` is unique on the page."""
    if isinstance(block, Text):
        style = f' class="{block.style}"' if block.style in ("lead", "note") else ""
        return f"<p{style}>{escape(block.text)}</p>"
    if isinstance(block, Table):
        return render_table(block)
    if isinstance(block, Figure):
        return render_figure(block, name)
    return render_code(block)


def render_table(table: Table) -> str:
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
    caption = f'<p class="note">{escape(table.caption)}</p>' if table.caption else ""
    kind = ' class="sortable"' if table.sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table{kind}>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{caption}"
    )


def render_figure(figure: Figure, name: str) -> str:
    """A placeholder and its data as JSON, which the page's script draws."""
    body = {"data": list(figure.data), "layout": dict(figure.layout)}
    return (
        f'<figure><div class="plot" id="{escape(name)}" role="img" '
        f'aria-label="{escape(figure.alt)}" style="height:{int(figure.height)}px"></div>'
        f'<script type="application/json" data-for="{escape(name)}">{safe_json(body)}</script>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def render_code(code: Code) -> str:
    """Preformatted text with a button that copies it."""
    caption = f"<p>{escape(code.caption)}</p>" if code.caption else ""
    return (
        f'{caption}<div class="code"><button type="button" class="copy">copy</button>'
        f'<pre tabindex="0">{escape(code.text)}</pre></div>'
    )


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
        return f"{cell:,.{digits}f}"
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
