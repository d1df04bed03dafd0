"""The page keeps its promises: one file, nothing from the network, nothing unescaped, no crash."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from mmauto_sections import mmauto_sections

from mmauto.findings import Finding, RoleGuess
from mmauto.plugin import Code, Figure, Section, Table, TargetSpec, Text
from mmauto.report.page import render_page, write_report
from mmauto.testing.fakes_study import empty_study, fake_study
from mmauto.views import Failure, TrialView

HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>–ü漢"
SCRIPT = re.compile(r"<script(.*?)>(.*?)</script>", re.S)


def made(name: str, blocks, order: int = 500, title: str | None = None) -> Section:
    """A section that gives these blocks, or raises this error."""

    def render(self, study):
        if isinstance(blocks, Exception):
            raise blocks
        return blocks

    body = {"name": name, "title": title or name, "order": order, "render": render}
    return type("Made", (Section,), {**body, "summary": "made up", "reference": "none"})()


def built_in() -> list[Section]:
    return list(mmauto_sections())


def figure(**changes) -> Figure:
    given = {"data": [{"x": [1], "y": [2]}], "layout": {}, "caption": "how", "alt": "what"}
    return Figure(**{**given, **changes})


def without_library(page: str) -> str:
    """The page less plotly's own source, which is not ours to judge."""
    return SCRIPT.sub(lambda m: "" if "plotly.js v" in m[2][:400] else m[0], page)


def figures(page: str) -> list[dict]:
    """The JSON of each figure, as a browser would read it."""
    return [json.loads(body) for kind, body in SCRIPT.findall(page) if "application/json" in kind]


def hostile_study():
    """The fake study with a hostile text wherever a user, a plugin or a file may put one."""
    study = fake_study(7)
    rename = {arm.name: f"{arm.name} {HOSTILE}" for arm in study.arms}
    arms = tuple(
        replace(arm, name=rename[arm.name], stage=HOSTILE, importances={f"a/{HOSTILE}": 0.5})
        for arm in study.arms
    )
    by_name = {arm.name: arm for arm in arms}
    found = study.comparison
    spec = TargetSpec(HOSTILE, "multiclass", tuple(f"{c} {HOSTILE}" for c in "abc"))
    return replace(
        study,
        name=HOSTILE,
        task=replace(
            study.task, name=HOSTILE, primary=HOSTILE, targets={HOSTILE: spec},
            modalities={HOSTILE: HOSTILE},
        ),
        config={HOSTILE: HOSTILE},
        command=HOSTILE,
        environment={HOSTILE: HOSTILE, "versions": {"mmauto": HOSTILE}},
        arms=arms,
        trials=tuple(
            replace(t, arm=rename[t.arm], failure=t.failure and Failure("plugin", HOSTILE, HOSTILE))
            for t in study.trials
        ),
        confirmations=tuple(
            replace(c, arm=rename[c.arm], test={HOSTILE: c.test["diagnosis"]})
            for c in study.confirmations
        ),
        truth={split: {HOSTILE: own["diagnosis"]} for split, own in study.truth.items()},
        rows={**study.rows, HOSTILE: 1},
        ceiling={HOSTILE: 0.5, "all": 0.9},
        findings=(Finding("leak", HOSTILE, HOSTILE),),
        roles=(RoleGuess(HOSTILE, HOSTILE, HOSTILE),),
        comparison=replace(
            found,
            target=HOSTILE,
            winner=rename[found.winner],
            reference=rename[found.reference],
            verdict=(HOSTILE, HOSTILE, HOSTILE),
            standings=tuple(
                replace(line, arm=by_name[rename[line.arm.name]]) for line in found.standings
            ),
        ),
    )  # fmt: skip


def hostile_sections() -> list[Section]:
    table = Table((HOSTILE, "n"), [(HOSTILE, 1)], HOSTILE, sortable=True)
    drawn = figure(
        data=[{"x": [HOSTILE], "y": [1], "name": HOSTILE}],
        layout={"title": {"text": HOSTILE}}, caption=HOSTILE, alt=HOSTILE,
    )  # fmt: skip
    blocks = [Text(HOSTILE), Text(HOSTILE, HOSTILE), table, drawn, Code(HOSTILE, HOSTILE)]
    return [made("hostile", blocks, title=HOSTILE), made("failing", ValueError(HOSTILE))]


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(fake_study(), built_in())


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return render_page(hostile_study(), [*built_in(), *hostile_sections()])


# ------------------------------------------------------------------- one file, no network


def test_the_page_asks_nothing_of_the_network(page: str) -> None:
    own = without_library(page)
    assert not re.findall(r"<(?:link|img|iframe|object|embed|base|form)\b", own)
    assert not re.findall(r"\b(?:src|srcset|action|poster)\s*=", own)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', own))
    assert "url(" not in own
    assert "@import" not in own
    assert "http://" not in own
    assert "https://" not in own


def test_the_policy_stands_before_any_script(page: str) -> None:
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None
    assert policy.start() < page.index("<script")
    rules = dict(rule.strip().split(" ", 1) for rule in unescape(policy[1]).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert not any(word in policy[1] for word in ("http", "*", "'self'", "eval"))


def test_plotly_is_there_once_and_only_for_figures(page: str) -> None:
    assert page.count("* plotly.js v") == 1
    assert "plotly.js v" not in render_page(fake_study(), [made("words", [Text("no figure")])])


def test_each_figure_has_its_place_and_its_data(page: str) -> None:
    places = re.findall(r'class="plot" id="([^"]+)"', page)
    assert len(places) == len(set(places)) >= 6
    assert re.findall(r'data-for="([^"]+)"', page) == places
    assert len(figures(page)) == len(places)


def test_a_thousand_trials_stay_small_and_quick(tmp_path: Path) -> None:
    rng, arms = np.random.default_rng(0), fake_study().arms
    trials = tuple(
        TrialView(
            id=number, arm=arms[number % len(arms)].name, generation=0, index=number // len(arms),
            state="complete", params={"train/lr": 0.1}, value=float(rng.random()),
            curve=tuple(rng.random(30)), losses=tuple(rng.random(30)),
        )
        for number in range(1000)
    )  # fmt: skip
    start = time.perf_counter()
    write_report(fake_study(trials=trials), built_in(), tmp_path / "report.html")
    assert time.perf_counter() - start < 10
    assert (tmp_path / "report.html").stat().st_size < 8_000_000


def test_each_table_and_each_figure_can_be_taken_along_and_says_how_to_read_it(page: str) -> None:
    own = without_library(page)
    found = re.findall(r"<figure.*?</figure>", own, re.S)
    assert len(found) > len(figures(page)) > 3
    for one in found:
        name = re.search(r'class="csv" data-name="([^"]+)"', one)
        assert name is not None
        if "data-for" in one:
            assert f'data-for="{name[1]}"' in one
        caption = re.search(r"<figcaption><span>(.*?)</span>", one, re.S)
        assert caption is not None
        assert caption[1].strip()


def test_every_class_that_the_page_uses_for_looks_is_in_the_style(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    used = {name for group in re.findall(r'class="([^"]+)"', without_library(page))
            for name in group.split()}  # fmt: skip
    unstyled = {name for name in used if f".{name}" not in style}
    assert unstyled <= {"sortable", "table"}


# ------------------------------------------------------------------------------ escaping


def test_hostile_texts_reach_the_page_only_escaped(hostile_page: str) -> None:
    own = without_library(hostile_page)
    assert "<script>alert" not in own
    assert "<img" not in own
    assert 'x onerror=alert(2)>"' not in own
    # the theme, the library, the page's own script and one piece of data a figure, nothing else
    kinds = [kind for kind, _ in SCRIPT.findall(hostile_page)]
    assert len(kinds) == len(figures(hostile_page)) + 3
    assert kinds.count("") == 3


def test_hostile_texts_are_shown_as_they_are(hostile_page: str) -> None:
    own = without_library(hostile_page)
    words = [unescape(text) for text in re.findall(r">([^<]*)<", own)]
    assert words.count(HOSTILE) >= 10
    assert HOSTILE in unescape(re.search(r"<title>(.*?)</title>", own)[1])


def test_hostile_attributes_stay_inside_their_quotes(hostile_page: str) -> None:
    alts = re.findall(r'aria-label="([^"]*)" style="height', without_library(hostile_page))
    assert len(alts) == len(figures(hostile_page))
    assert HOSTILE in [unescape(alt) for alt in alts]


def test_a_figure_keeps_hostile_texts_through_its_json(hostile_page: str) -> None:
    assert figures(hostile_page)[-1]["data"][0]["x"] == [HOSTILE]


# ------------------------------------------------------------------------------- sections


def test_a_section_that_raises_says_so_and_the_others_stay() -> None:
    given = [
        made("first", [Text("before")], 1), made("bad", KeyError("gone"), 2),
        made("last", [Text("after")], 3),
    ]  # fmt: skip
    page = render_page(fake_study(), given)
    box = re.search(r'<section id="bad">.*?<p class="broken">(.*?)</p></section>', page)
    assert box is not None
    assert unescape(box[1]) == "section 'bad' could not be made: KeyError: 'gone'"
    assert "<p>before</p>" in page
    assert "<p>after</p>" in page


@pytest.mark.parametrize(
    "block", [Table(("a", "b"), [(1,)]), figure(data=[{"x": object()}]), "<b>bold</b>"]
)
def test_a_block_that_cannot_be_written_breaks_its_section_alone(block) -> None:
    page = render_page(fake_study(), [made("bad", [block]), made("good", [Text("here")])])
    assert "section &#x27;bad&#x27; could not be made" in page
    assert "<p>here</p>" in page
    assert "<b>" not in page


def test_sections_follow_their_order_then_their_name() -> None:
    given = [made(name, [Text(name)], order) for name, order in (("z", 5), ("b", 9), ("a", 9))]
    page = render_page(fake_study(), given)
    assert re.findall(r'<section id="(\w)"', page) == ["z", "a", "b"]
    assert re.findall(r'<li><a href="#(\w)"', page) == ["z", "a", "b"]


def test_a_section_without_blocks_leaves_no_heading() -> None:
    page = render_page(fake_study(), [made("silent", []), made("loud", [Text("here")])])
    assert "silent" not in page


def test_a_study_without_results_has_a_page() -> None:
    page = render_page(empty_study(), built_in())
    assert "could not be made" not in page
    assert "No arm was confirmed" in page


def test_simulated_data_carries_a_badge_and_real_data_none(page: str) -> None:
    study = fake_study()
    real = replace(study, task=replace(study.task, simulated=False), findings=(), ceiling={})
    assert 'class="badge">simulated data<' in page
    assert 'class="badge"' not in render_page(real, [])


def test_the_date_is_shown_where_it_is_known() -> None:
    study = fake_study(environment={"created": 1_700_000_000.0})
    assert "<time>2023-11-14</time>" in render_page(study, [])
    assert "<time>" not in render_page(fake_study(environment={}), [])


# ---------------------------------------------------------------------------------- files


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    place = tmp_path / "new" / "report.html"
    write_report(fake_study(), [made("one", [Text("old words")])], place)

    def crash(self, *args, **kwargs):
        self.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", crash)
        with pytest.raises(OSError, match="disk full"):
            write_report(fake_study(), [made("one", [Text("new words")])], place)
    assert "old words" in place.read_text(encoding="utf-8")
    write_report(fake_study(), [made("one", [Text("new words")])], place)
    assert "new words" in place.read_text(encoding="utf-8")
    assert [file.name for file in place.parent.iterdir()] == ["report.html"]


def test_the_same_study_gives_the_same_bytes(page: str) -> None:
    assert render_page(fake_study(), built_in()) == page
