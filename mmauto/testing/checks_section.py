"""What every section of the report keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from mmauto.blocks import Block, Figure, Table, unfolded
from mmauto.contracts import Section
from mmauto.testing.compare import difference, snapshot
from mmauto.testing.fakes import expect
from mmauto.testing.fakes_study import empty_study, fake_study


def title_and_order(section: Section) -> None:
    """A section has a title of one line and a whole number as its place."""
    title = getattr(section, "title", None)
    expect(isinstance(title, str) and bool(title.strip()), f"title = {title!r}")
    expect("\n" not in str(title), f"title = {title!r}")
    expect(isinstance(section.order, int), f"order = {section.order!r}")


def renders_blocks(section: Section) -> None:
    """A complete study renders to a sequence of the blocks of `mmauto.blocks`."""
    for block in _render(section):
        expect(isinstance(block, Block), f"a {type(block).__name__}")


def renders_half_studies(section: Section) -> None:
    """A study without finished runs, groups, ceiling or findings renders without an error."""
    section.render(empty_study())
    study = fake_study()
    nothing = dict.fromkeys(study.groups)
    section.render(fake_study(ceiling={}, findings=(), roles=(), groups=nothing))
    section.render(fake_study(trials=()))


def blocks_are_json(section: Section) -> None:
    """Blocks hold plain JSON values, without NaN: the page writes them down as they are."""
    for block in _render(section):
        try:
            json.dumps(asdict(block), allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"a {type(block).__name__} that JSON cannot hold: {error}")


def figures_explained(section: Section) -> None:
    """Each figure says how to read it (caption) and what it shows (alt)."""
    for block in _render(section):
        if isinstance(block, Figure):
            expect(bool(block.caption.strip()), "a figure without a caption")
            expect(bool(block.alt.strip()), f"the figure {block.caption[:40]!r} has no alt")
            expect(bool(block.data), f"the figure {block.caption[:40]!r} has no traces")


def tables_are_square(section: Section) -> None:
    """Each row of a table has a cell a column."""
    for block in _render(section):
        if isinstance(block, Table):
            odd = [len(row) for row in block.rows if len(row) != len(block.columns)]
            expect(not odd, f"rows of {odd[:3]} cells under {len(block.columns)} columns")


def determinism(section: Section) -> None:
    """The same study renders to the same blocks."""
    one, two = ([asdict(block) for block in _render(section)] for _ in range(2))
    expect(not difference(one, two), f"rendered twice: {difference(one, two)}")


def inputs_not_mutated(section: Section) -> None:
    """The study is the same after rendering as before."""
    study = fake_study()
    before = snapshot(study)
    section.render(study)
    expect(not difference(before, snapshot(study)), difference(before, snapshot(study)))


CHECKS = (
    title_and_order,
    renders_blocks,
    renders_half_studies,
    blocks_are_json,
    figures_explained,
    tables_are_square,
    determinism,
    inputs_not_mutated,
)


def _render(section: Section) -> Sequence[Block]:
    return list(unfolded(section.render(fake_study())))
