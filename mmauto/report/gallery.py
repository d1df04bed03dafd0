"""A gallery of samples as HTML: pictures under a heat map, texts with coloured words, bars.

Every text that a user, a plugin or a file gave is escaped here.
"""

from __future__ import annotations

from html import escape

from mmauto.blocks import Bars, Card, Gallery, Picture, Words

HEAT = 0.6
"""Opacity of the strongest colour over a picture or behind a word."""


def render_gallery(gallery: Gallery) -> str:
    """Cards side by side, as many as the page is wide."""
    return f'<div class="gallery">{"".join(map(_card, gallery.cards))}</div>'


def _card(card: Card) -> str:
    parts = "".join(_part(part) for part in card.parts)
    return (
        f'<article class="card"><h3>{escape(card.title)}</h3><p>{escape(card.text)}</p>{parts}'
        "</article>"
    )


def _part(part: Picture | Words | Bars) -> str:
    label = f'<p class="label">{escape(part.label)}</p>'
    if isinstance(part, Picture):
        return label + _picture(part)
    if isinstance(part, Words):
        words = " ".join(
            f"<span{_tint(weight, part.hue)}>{escape(word)}</span>" for word, weight in part.words
        )
        return f'{label}<p class="words">{words}</p>'
    bars = any(weight for _, _, weight in part.lines)
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td>"
        f"{_bar(weight, part.hue) if bars else ''}</tr>"
        for name, value, weight in part.lines
    )
    return f'{label}<table class="bars"><tbody>{lines}</tbody></table>'


def _picture(picture: Picture) -> str:
    height, width = len(picture.heat), len(picture.heat[0]) if picture.heat else 0
    patches = "".join(
        f'<rect x="{right}" y="{down}" width="1" height="1" fill="{_hue(weight, picture.hue)}" '
        f'fill-opacity="{HEAT * min(1.0, abs(weight)):.2f}"/>'
        for down, row in enumerate(picture.heat)
        for right, weight in enumerate(row)
    )
    heat = (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f"{patches}</svg>"
    )
    source = f"data:image/jpeg;base64,{escape(picture.data)}"
    return (
        f'<div class="picture" tabindex="0"><img src="{source}" alt="{escape(picture.alt)}">'
        f"{heat if patches else ''}</div>"
    )


def _tint(weight: float, hue: str) -> str:
    share = round(100 * HEAT * min(1.0, abs(weight)))
    return f' style="background:{_hue(weight, hue)}{round(2.55 * share):02x}"' if share else ""


def _bar(weight: float, hue: str) -> str:
    wide = round(100 * min(1.0, abs(weight)))
    style = f"width:{wide}%;background:{_hue(weight, hue)}"
    return f'<td class="drawn"><span class="bar" style="{style}"></span></td>'


def _hue(weight: float, own: str) -> str:
    return escape(own) or ("#d55e00" if weight > 0 else "#0072b2")
