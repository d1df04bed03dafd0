"""Reports: a complete study with hostile texts wherever a user, a file or a plugin may put one."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from mmauto_sections import mmauto_sections

from mmauto.findings import Finding, RoleGuess
from mmauto.report import page as pages
from mmauto.report.export import FORMATS, write_leaderboard
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec
from mmauto.views import Failure, StudyView

SLOW = ("rankings", "calibration", "cost")
"""Sections that draw thousands of times anew take seconds; others show the same names."""

MARK = "zqx"
"""In every hostile element and attribute, so that each that becomes one is found."""

TEXTS = (
    f"</script><script>{MARK}</script>", f"<img src=x onerror={MARK}>", f'" on{MARK}="1', "'", "",
    f"</style><{MARK}>", f"<!--<{MARK}>", "-->", "]]>", f"&lt;{MARK}&gt;", f"<b {MARK}>bold</b>",
    f'<a href="javascript:{MARK}">x</a>', "\0", "\x1b[31m", "\u202e", "\u2028", "=1+1", "%{x}",
    "$$x$$", "{{x}}", "${x}", "a" * 2000, "\\", "\n", "__proto__", "constructor", "<br>", " ",
)  # fmt: skip

text: SearchStrategy[str] = st.sampled_from(TEXTS) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)


@st.composite
def views(draw: DrawFn) -> StudyView:
    """The fake study with some names replaced: its own, arms, classes, targets, findings ..."""
    study = fake_study(draw(st.integers(0, 3)))
    names = {arm.name: arm.name + draw(text) for arm in study.arms}
    spec = study.task.targets["diagnosis"]
    classes = [f"{place}{draw(text)}" for place in range(len(spec.classes))]
    targets = {
        **study.task.targets,
        "diagnosis": TargetSpec("diagnosis", spec.kind, tuple(classes)),
    }
    odd = draw(text)
    found = study.comparison
    return replace(
        study,
        name=draw(text),
        task=replace(study.task, name=draw(text), targets=targets, modalities={odd: draw(text)}),
        config={draw(text): draw(text), "nested": {draw(text): [draw(text)]}},
        command=draw(text),
        environment={**study.environment, draw(text): draw(text)},
        arms=[
            replace(arm, name=names[arm.name], stage=draw(text), summary=draw(text),
                    importances={draw(text): 0.5})
            for arm in study.arms
        ],
        trials=[
            replace(trial, arm=names[trial.arm], params={**trial.params, odd: odd},
                    failure=trial.failure and Failure("plugin", odd, odd))
            for trial in study.trials
        ],
        confirmations=[replace(run, arm=names[run.arm]) for run in study.confirmations],
        findings=[Finding(draw(text), draw(text), draw(text), warning=draw(st.booleans()))],
        roles=[RoleGuess(draw(text), draw(text), draw(text))],
        ceiling={odd: 0.5},
        comparison=replace(
            found,
            winner=names.get(found.winner or ""),
            reference=names.get(found.reference or ""),
            verdict=(draw(text), draw(text)),
            standings=[
                replace(s, arm=replace(s.arm, name=names[s.arm.name], stage=odd))
                for s in found.standings
            ],
        ),
    )  # fmt: skip


class Elements(HTMLParser):
    """The elements and attributes of a page that carry the mark, and the number of scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = [name for name, _ in attrs if MARK in name or name.startswith("on")]
        places = [v for n, v in attrs if n in ("href", "src") and v and "javascript" in v]
        if MARK in tag or named or places:
            self.odd.append(f"<{tag} {named or places}>")


def make(folder: Path) -> tuple[SearchStrategy[Any], Any]:
    pages._plotly = lambda: ""  # 4 MB of a page, and nothing of it is ours
    sections = [section for section in mmauto_sections() if section.name not in SLOW]
    chosen = st.lists(st.sampled_from(range(len(sections))), min_size=1, max_size=4, unique=True)

    def use(place: Path, item: tuple[StudyView, list[int]]) -> None:
        view, numbers = item
        pages.write_report(view, [sections[number] for number in numbers], place / "report.html")
        write_leaderboard(view.comparison, place)
        page = (place / "report.html").read_text(encoding="utf-8")
        assert 'class="broken"' not in page, page[page.index('class="broken"') :][:300]
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
        assert not any(body.strip() == MARK for body in scripts)
        elements = Elements()
        elements.feed(page)
        assert not elements.odd, elements.odd
        for write in FORMATS.values():
            write(view.comparison).encode()

    return st.tuples(views(), chosen), use
