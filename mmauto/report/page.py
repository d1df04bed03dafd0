"""The page: one HTML file with everything inside, that asks nothing of the network."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from mmauto.blocks import Block
from mmauto.contracts import Section
from mmauto.engine.metrics import METRICS
from mmauto.report.blocks import render_block
from mmauto.views import StudyView

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""No request leaves the page, whatever a text or a figure contains."""

THEME = (
    'try{const theme=localStorage.getItem("mmauto-theme");'
    'if(theme==="dark"||theme==="light")document.documentElement.dataset.theme=theme}catch{}'
)
"""Before anything is painted; storage is forbidden in some windows."""

MENU = (
    '<button type="button" id="menu" aria-expanded="false" aria-controls="contents">'
    "<span>contents</span></button>"
)
"""The contents on a narrow page: a bar that says where the reader is."""


def render_page(view: StudyView, sections: Sequence[Section]) -> str:
    """The report of a study; a section that fails says so in its place."""
    ordered = sorted(sections, key=lambda section: (section.order, section.name))
    parts = [(section.name, section.title, _section(section, view)) for section in ordered]
    return render(view.name, _header(view), parts, _footer(view))


def write_report(view: StudyView, sections: Sequence[Section], path: Path) -> None:
    """Write the page under a temporary name and rename it, so that a reader never sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_text(render_page(view, sections), encoding="utf-8")
    fresh.replace(path)


def _section(section: Section, view: StudyView) -> str:
    try:
        blocks = list(section.render(view))
        return render_blocks(section.name, blocks)
    except Exception as error:
        text = f"section {section.name!r} could not be made: {type(error).__name__}: {error}"
        return f'<p class="broken">{escape(text)}</p>'


def _header(view: StudyView) -> str:
    created = view.environment.get("created")
    day = f" · <time>{_day(float(created))}</time>" if created else ""
    rows = " · ".join(f"{count:,} {split}" for split, count in view.rows.items())
    badge = '<span class="badge">simulated data</span>' if view.task.simulated else ""
    return (
        f'<header><div><p class="kicker">mmauto study</p><h1>{escape(view.name)} {badge}</h1>'
        f'<p class="facts">task {escape(view.task.name)} · target {escape(view.task.primary)} by '
        f"{escape(METRICS[view.task.metric].label)} · rows: {escape(rows)}{day}</p></div>"
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


def render(title: str, header: str, sections: Sequence[tuple[str, str, str]], footer: str) -> str:
    """The whole page.

    Args:
        header, footer: HTML.
        sections: name, title and HTML of each; those without HTML are left out.
    """
    kept = [(escape(name), escape(heading), body) for name, heading, body in sections if body]
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading, _ in kept)
    parts = "".join(
        f'<section id="{name}"><h2>{heading}</h2>{body}</section>' for name, heading, body in kept
    )
    # the library is 4 MB: a page without a figure does without it
    library = f"<script>{_plotly()}</script>" if "<figure>" in parts else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)} · mmauto</title><style>{_asset('page.css')}</style>"
        f"<script>{THEME}</script></head>"
        f'<body><a class="skip" href="#main">to the content</a>{header}'
        f'<div class="columns"><nav aria-label="sections">{MENU}<ol id="contents">{links}</ol>'
        f'</nav><main id="main">{parts}</main></div>{footer}'
        f"{library}<script>{_asset('figures.js')}\n{_asset('page.js')}</script></body></html>\n"
    )


def render_blocks(name: str, blocks: Sequence[Block]) -> str:
    """The blocks of the section of that name."""
    return "".join(render_block(block, f"{name}-{place}") for place, block in enumerate(blocks))
