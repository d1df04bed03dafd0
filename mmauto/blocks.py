"""What a section of the report is made of: plain values, which the page turns into HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text; the page escapes it.

    ``style``: ``""``, ``lead`` (large), ``note`` (small) or ``warning``.
    """

    text: str
    style: str = ""


@dataclass(frozen=True)
class KeyNumber:
    """A number to remember: the ``value`` is shown large, the ``note`` says how sure it is."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The answer on a card: a badge and a few key numbers.

    Attributes:
        tone: ``good``, ``bad`` or ``open`` (undecided): the colour of the badge, whose words say
            the same.
    """

    badge: str
    tone: Literal["good", "bad", "open"]
    numbers: Sequence[KeyNumber] = ()


@dataclass(frozen=True)
class Table:
    """Plain cells; the page escapes them. Numbers are right-aligned.

    ``sortable`` adds sorting and, where there are many rows, a box that filters them.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]
    caption: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Figure:
    """A Plotly figure as plain JSON values: ``data`` and ``layout`` as in plotly.js.

    Attributes:
        caption: how to read it.
        alt: what it shows, for those who cannot see it.
        height: pixels.
    """

    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    caption: str
    alt: str
    height: int = 380


@dataclass(frozen=True)
class Code:
    """Preformatted text, e.g. a command or a file."""

    text: str
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture with what its patches mean.

    Attributes:
        data: a JPEG, in base64.
        heat: a grid of weights from -1 (blue) to 1 (orange), laid over the picture.
        hue: one colour (``#rrggbb``) for weights that are no effects, instead of these two.
    """

    label: str
    data: str
    alt: str
    heat: Sequence[Sequence[float]] = ()
    hue: str = ""


@dataclass(frozen=True)
class Words:
    """A text, each word with a weight from -1 (blue) to 1 (orange), or in one ``hue``."""

    label: str
    words: Sequence[tuple[str, float]]
    hue: str = ""


@dataclass(frozen=True)
class Bars:
    """Lines of a name, a value as people read it, and a bar from -1 (blue) to 1 (orange).

    No bars are drawn where all are 0. A ``hue`` stands for both colours.
    """

    label: str
    lines: Sequence[tuple[str, str, float]]
    hue: str = ""


@dataclass(frozen=True)
class Card:
    """One sample: its name, what is to be said of it, and its parts."""

    title: str
    text: str
    parts: Sequence[Picture | Words | Bars]


@dataclass(frozen=True)
class Gallery:
    """Cards side by side."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Fold:
    """Blocks that few readers need: hidden under their title until it is clicked, or printed."""

    title: str
    blocks: Sequence[Block]


Block: TypeAlias = Text | Headline | Table | Figure | Code | Gallery | Fold


def unfolded(blocks: Iterable[Block]) -> Iterator[Block]:
    """All blocks in their order, those inside a fold in its place."""
    for block in blocks:
        if isinstance(block, Fold):
            yield from unfolded(block.blocks)
        else:
            yield block
