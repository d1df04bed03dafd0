"""The page: one HTML file with everything inside, that asks nothing of the network."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from mmauto.contracts import Section
from mmauto.report.blocks import render_block
from mmauto.views import Figure, StudyView

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""No request leaves the page, whatever a text or a figure contains."""


def render_page(view: StudyView, sections: Sequence[Section]) -> str:
    """The report of a study; a section that fails says so in its place."""
    parts, names = [], []
    ordered = sorted(sections, key=lambda section: (section.order, section.name))
    drawn = False
    for section in ordered:
        body, figures = _section(section, view)
        if body:
            names.append((section.name, section.title))
            parts.append(
                f'<section id="{escape(section.name)}"><h2>{escape(section.title)}</h2>{body}'
                "</section>"
            )
            drawn = drawn or figures
    links = "".join(
        f'<li><a href="#{escape(name)}">{escape(title)}</a></li>' for name, title in names
    )
    # the library is 4 MB: a page without a figure does without it
    library = f"<script>{_plotly()}</script>" if drawn else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(view.name)} · mmauto</title><style>{_asset('page.css')}</style></head>"
        f'<body><a class="skip" href="#main">to the content</a>{_header(view)}'
        f'<div class="columns"><nav aria-label="sections"><ol>{links}</ol></nav>'
        f'<main id="main">{"".join(parts)}</main></div>{_footer(view)}'
        f"{library}<script>{_asset('page.js')}</script></body></html>\n"
    )


def write_report(view: StudyView, sections: Sequence[Section], path: Path) -> None:
    """Write the page under a temporary name and rename it, so that a reader never sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_text(render_page(view, sections), encoding="utf-8")
    fresh.replace(path)


def _section(section: Section, view: StudyView) -> tuple[str, bool]:
    try:
        blocks = list(section.render(view))
        html = "".join(
            render_block(block, f"{section.name}-{place}") for place, block in enumerate(blocks)
        )
    except Exception as error:
        text = f"section {section.name!r} could not be made: {type(error).__name__}: {error}"
        return f'<p class="broken">{escape(text)}</p>', False
    return html, any(isinstance(block, Figure) for block in blocks)


def _header(view: StudyView) -> str:
    created = view.environment.get("created")
    day = f" · <time>{_day(float(created))}</time>" if created else ""
    rows = " · ".join(f"{count:,} {split}" for split, count in view.rows.items())
    badge = '<span class="badge">simulated data</span>' if view.task.simulated else ""
    return (
        f'<header><div><p class="kicker">mmauto study</p><h1>{escape(view.name)} {badge}</h1>'
        f'<p class="facts">task {escape(view.task.name)} · target {escape(view.task.primary)} by '
        f"{escape(view.task.metric.replace('_', ' '))} · rows: {escape(rows)}{day}</p></div>"
        '<button type="button" id="theme" aria-label="switch between light and dark">'
        "light / dark</button></header>"
    )


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


def _footer(view: StudyView) -> str:
    version = view.environment.get("versions", {}).get("mmauto", "")
    return (
        f"<footer>mmauto {escape(str(version))}: chosen on validation, estimated on test</footer>"
    )


def _asset(name: str) -> str:
    return resources.files("mmauto.report").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source
