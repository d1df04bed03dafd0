"""What few readers need stands under its title until they ask for it."""

from __future__ import annotations

from mmauto.plugin import Block, Fold, Table

MOST_ROWS = 10
"""Rows of a table that does not answer the section's question by itself."""


def short(table: Table, title: str) -> Block:
    """The table; folded where it is long."""
    if len(table.rows) <= MOST_ROWS:
        return table
    return Fold(f"{title} ({len(table.rows)} rows)", [table])
