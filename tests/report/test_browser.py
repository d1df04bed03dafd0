"""The report in a real browser: it draws, fits a phone, sorts, changes its theme, stays offline."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmauto_sections import mmauto_sections

from mmauto.answers.compare import compare
from mmauto.plugin import Figure, Finding, Optimism, Section, Table, Text
from mmauto.report.page import write_report
from mmauto.testing.fakes_study import empty_study, fake_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'& ü漢"
REMOTE = "<a href='http://example.invalid/a'>x</a><img src='http://example.invalid/b.png'>"


FIGURES = [
    Figure(
        [
            {"type": "scatter", "name": "a &lt;b&gt;", "x": [1, 2], "y": ["p", "=q"],
             "error_x": {"array": [0.5, 0.5], "arrayminus": [0.25, 1]}},
            {"type": "bar", "name": "-1", "x": [3], "y": ["r"]},
        ],
        {"xaxis": {"title": {"text": "gain"}}}, "Points and bars.", "points and bars",
    ),
    Figure(
        [{"type": "heatmap", "x": ["u", "v"], "y": ["s"], "z": [[0.5, None]],
          "text": [["50%", ""]]}],
        {}, "A heat map.", "a heat map",
    ),
]  # fmt: skip


class Hostile(Section):
    name = "hostile"
    title = HOSTILE
    summary = "texts that would like to run"
    reference = "made up"

    def render(self, study):
        drawn = Figure(
            [{"x": [HOSTILE, REMOTE], "y": [1, 2], "name": HOSTILE, "showlegend": True}],
            {"title": {"text": REMOTE}}, HOSTILE, HOSTILE,
        )  # fmt: skip
        rows = [("nine", 9.0), ("none", None), ("ten", 10), ("minus", -1.5), (HOSTILE, 0.25)]
        formulas = [("=1+1", -0.5), ('@say "hi", twice', 1e-05), ("-0.5", None)]
        return [
            Text(REMOTE), drawn, Table(("name", "number"), rows, HOSTILE, sortable=True),
            Table(("=name", "number"), formulas), *FIGURES,
        ]  # fmt: skip


def hostile_study():
    """The fake study whose arms, classes, notes and failures are hostile."""
    study = fake_study(6)
    spec = replace(study.task.targets["diagnosis"], classes=("<5 & odd", HOSTILE, REMOTE))
    task = replace(study.task, targets={**study.task.targets, "diagnosis": spec})
    rename = {arm.name: arm.name for arm in study.arms} | {"concat_mlp": HOSTILE}
    lines = study.comparison.standings
    return replace(
        study,
        name=HOSTILE,
        task=task,
        findings=(Finding("leak", HOSTILE, REMOTE, warning=True),),
        arms=[replace(arm, name=rename[arm.name]) for arm in study.arms],
        trials=[replace(trial, arm=rename[trial.arm]) for trial in study.trials],
        confirmations=[replace(run, arm=rename[run.arm]) for run in study.confirmations],
        comparison=replace(
            study.comparison,
            winner=rename[study.comparison.winner],
            standings=tuple(replace(s, arm=replace(s.arm, name=rename[s.arm.name])) for s in lines),
        ),
    )


@cache
def full_study():
    """The fake study as the real comparison sees it: with p values and the ensemble."""
    study = fake_study()
    found = compare(
        study.task, study.arms, study.trials, study.confirmations, study.truth, study.groups,
        ceiling=study.ceiling,
    )  # fmt: skip
    luck = {arm.name: Optimism(8, 0.9, 0.8) for arm in study.arms}
    return replace(study, comparison=found, optimism=luck)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """One headless Chromium for the module, or a skip that says what is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    helper = shutil.which("chromedriver")
    if browser is None or helper is None:
        pytest.skip("chromium or chromedriver is not on the PATH")
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=helper)
    started = webdriver.Chrome(options=options, service=service)
    started.set_page_load_timeout(30)
    yield started
    started.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports that the tests open, by name."""
    folder = tmp_path_factory.mktemp("pages")
    sections = list(mmauto_sections())
    made = {
        "fake": (full_study(), sections),
        "empty": (empty_study(), sections),
        "folded": (replace(empty_study(), config={f"field {n}": n for n in range(40)}), sections),
        "hostile": (hostile_study(), [*sections, Hostile()]),
    }
    for name, (study, own) in made.items():
        write_report(study, own, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def visit(driver: Any, pages: dict[str, Path]) -> Callable[..., Any]:
    """Open a report at a width and in a theme; logs of what came before are thrown away."""

    def go(name: str = "fake", width: int = 1280, theme: str = "light") -> Any:
        if driver.current_url.startswith("file:"):
            driver.execute_script("localStorage.clear()")  # the theme that a test chose
        for log in ("browser", "performance"):
            driver.get_log(log)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        driver.get(pages[name].as_uri())
        wait_for_figures(driver)
        return driver

    return go


def wait_for_figures(driver: Any) -> None:
    """They are drawn one after another."""
    driver.set_script_timeout(20)
    driver.execute_async_script(
        "const done = arguments[0], look = () =>"
        " 'drawing' in document.documentElement.dataset ? setTimeout(look, 20) : done(); look()"
    )


def unfold(driver: Any) -> None:
    """Open all that is folded away, and wait for the figures in it."""
    driver.set_script_timeout(20)
    driver.execute_async_script(
        "const done = arguments[0], plots = [...document.querySelectorAll('.plot')];"
        "for (const part of document.querySelectorAll('details')) part.open = true;"
        "const look = () => plots.every(p => p.querySelector('svg.main-svg')) ? done()"
        " : setTimeout(look, 20); look()"
    )


def sorted_by(driver: Any, table: str, column: int) -> tuple[str | None, list[str]]:
    """Click the head of a column; the order that it then claims, and its cells."""
    return tuple(
        driver.execute_script(
            "const table = document.querySelector(arguments[0]), n = arguments[1];"
            "const head = table.tHead.rows[0].cells[n]; head.querySelector('button').click();"
            "return [head.getAttribute('aria-sort'),"
            " [...table.tBodies[0].rows].map(row => row.cells[n].textContent)]",
            table,
            column,
        )
    )


@pytest.mark.parametrize("name", ["fake", "empty", "hostile"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_logged_and_nothing_leaves_the_page(visit, name: str, width: int) -> None:
    page = visit(name, width)
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if "requestWillBeSent" in e["method"]]
    asked = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert len(asked) == 1  # the file itself: the log does see requests
    assert asked[0].startswith("file:")


@pytest.mark.parametrize("name", ["fake", "empty", "hostile"])
@pytest.mark.parametrize("width", [320, 400, 768, 1280])
def test_the_page_is_no_wider_than_the_window(visit, name: str, width: int) -> None:
    page = visit(name, width)
    wide, window = page.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window <= width


@pytest.mark.parametrize("width", [400, 1280])
def test_every_section_and_every_figure_is_there_to_see(visit, width: int) -> None:
    page = visit("fake", width)
    unfold(page)
    heights = page.execute_script(
        "return [...document.querySelectorAll('section')]"
        ".map(section => [section.id, section.getBoundingClientRect().height])"
    )
    study, sections = full_study(), sorted(mmauto_sections(), key=lambda section: section.order)
    assert [name for name, _ in heights] == [s.name for s in sections if s.render(study)]
    assert min(height for _, height in heights) > 40
    sizes = page.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => {"
        " const box = p.querySelector('svg.main-svg')?.getBoundingClientRect();"
        " return [box?.width ?? 0, box?.height ?? 0, p.querySelectorAll('.trace, .hm').length]})"
    )
    assert len(sizes) >= 6
    for wide, high, traces in sizes:
        assert 200 < wide <= width
        assert high > 100
        assert traces >= 1


def test_numbers_sort_as_numbers_both_ways(visit) -> None:
    page, costs = visit(), "#leaderboard .fold table"
    columns = page.execute_script(
        "return [...document.querySelectorAll('#leaderboard .fold th')]"
        ".map(head => head.textContent)"
    )
    place = columns.index("trained parameters")
    way, up = sorted_by(page, costs, place)
    numbers = [int(cell.replace(",", "")) for cell in up if cell != "–"]
    assert way == "ascending"
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 3
    way, down = sorted_by(page, costs, place)
    numbers = [int(cell.replace(",", "")) for cell in down if cell != "–"]
    assert way == "descending"
    assert numbers == sorted(numbers, reverse=True)
    for cells in (up, down):  # a cost that does not apply is neither small nor large
        assert cells[-1] == "–"


def test_ten_comes_after_nine_and_a_dash_comes_last(visit) -> None:
    page = visit("hostile")
    assert sorted_by(page, "#hostile table", 1)[1] == ["-1.500", "0.250", "9.000", "10", "–"]
    assert sorted_by(page, "#hostile table", 1)[1] == ["10", "9.000", "0.250", "-1.500", "–"]
    way, names = sorted_by(page, "#hostile table", 0)
    assert way == "ascending"
    assert names == [HOSTILE, "minus", "nine", "none", "ten"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_until_the_reader_changes_it(visit, theme: str) -> None:
    page = visit(theme=theme)
    look = (
        "const text = document.querySelector('.plot .xtick text');"
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(text).fill]"
    )
    before = page.execute_script(look)
    assert (before[0] == "rgb(255, 255, 255)") == (theme == "light")
    page.execute_script("document.getElementById('theme').click()")
    wait_for_figures(page)
    after = page.execute_script(look)
    assert before[0] != after[0]
    assert before[1] != after[1]  # the figures are drawn anew
    page.execute_script("document.getElementById('theme').click()")
    wait_for_figures(page)
    assert page.execute_script(look) == before


def test_the_chosen_theme_is_remembered(visit) -> None:
    page, ground = visit(), "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(ground)
    page.execute_script("document.getElementById('theme').click()")
    dark = page.execute_script(ground)
    page.refresh()
    assert page.execute_script(ground) == dark != light
    assert page.execute_script("return document.getElementById('theme').textContent") == "light"


def test_paper_is_light_and_narrow_and_the_screen_is_as_it_was_afterwards(visit) -> None:
    page = visit(theme="dark")
    look = (
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.plot .xtick text')).fill,"
        " Math.max(...[...document.querySelectorAll('.plot svg.main-svg')]"
        ".map(svg => svg.getBoundingClientRect().width))]"
    )
    before = page.execute_script(look)
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    ground, text, widest = page.execute_script(look)
    assert ground == "rgb(255, 255, 255)"
    assert text != before[1]
    assert widest <= 42 * 16 < before[2]
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(look) == before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_in_the_confusion_matrix_can_be_read(visit, theme: str) -> None:
    page = visit(theme=theme)
    fills, text = page.execute_script(
        "return [[...document.querySelectorAll('#confusion .heatmap-label text')]"
        ".map(t => getComputedStyle(t).fill), getComputedStyle(document.body).color]"
    )
    assert len(fills) == 9
    assert set(fills) == {text}


def test_hostile_texts_open_no_dialog_and_make_no_element(visit) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    page = visit("hostile")
    with pytest.raises(NoAlertPresentException):
        _ = page.switch_to.alert.text
    assert page.execute_script("return document.querySelectorAll('img[src=x], iframe').length") == 0
    assert page.execute_script("return document.title") == f"{HOSTILE} · mmauto"
    assert page.execute_script("return document.querySelector('#hostile h2').innerText") == HOSTILE


def test_a_figure_shows_hostile_names_as_they_are(visit) -> None:
    page = visit("hostile")
    ticks = page.execute_script(
        "return [...document.querySelectorAll('#confusion .ytick text')].map(t => t.textContent)"
    )
    assert set(ticks) == {"<5 & odd", HOSTILE, REMOTE}
    names = page.execute_script(
        "return [...document.querySelectorAll('#search .legendtext')].map(t => t.textContent)"
    )
    assert HOSTILE in names


@pytest.fixture
def saved(driver: Any, tmp_path: Path) -> Callable[[str], list[list[str]]]:
    """Press a CSV button and read the file that the browser saves."""

    def press(name: str) -> list[list[str]]:
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
        )
        driver.execute_script(f"document.querySelector('.csv[data-name=\"{name}\"]').click()")
        place, end = tmp_path / f"{name}.csv", time.monotonic() + 10
        while not place.is_file() and time.monotonic() < end:
            time.sleep(0.05)
        with place.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    return press


def test_a_saved_table_has_exact_numbers_and_no_formula(visit, saved) -> None:
    visit("hostile")
    assert saved("hostile-2") == [
        ["name", "number"], ["nine", "9"], ["none", ""], ["ten", "10"], ["minus", "-1.5"],
        [HOSTILE, "0.25"],
    ]  # fmt: skip
    assert saved("hostile-3") == [
        ["'=name", "number"], ["'=1+1", "-0.5"], ["'@say \"hi\", twice", "0.00001"], ["-0.5", ""],
    ]  # fmt: skip


def test_a_saved_figure_has_its_points_intervals_and_cells(visit, saved) -> None:
    visit("hostile")
    assert saved("hostile-4") == [
        ["series", "gain", "y", "gain low", "gain high"],
        ["a <b>", "1", "p", "0.75", "1.5"], ["a <b>", "2", "'=q", "1", "2.5"],
        ["-1", "3", "r", "", ""],
    ]  # fmt: skip
    assert saved("hostile-5") == [
        ["x", "y", "value", "text"], ["u", "s", "0.5", "50%"], ["v", "s", "", ""],
    ]  # fmt: skip


def test_every_figure_and_every_table_can_be_saved(visit) -> None:
    page = visit()
    lengths = page.execute_script(
        "const sizes = []; const old = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { sizes.push(blob.size); return 'about:blank'; };"
        "HTMLAnchorElement.prototype.click = () => {};"
        "for (const button of document.querySelectorAll('.csv')) button.click();"
        "URL.createObjectURL = old; return sizes"
    )
    assert len(lengths) > 12
    assert min(lengths) > 20


def test_the_filter_keeps_the_rows_with_every_word_and_counts_them(visit) -> None:
    page = visit()
    page.find_element("css selector", "#leaderboard .finder input").send_keys("AlonE single")
    shown, told = page.execute_script(
        "const table = document.querySelector('#leaderboard table');"
        "return [[...table.tBodies[0].rows].filter(row => row.offsetHeight)"
        ".map(row => row.cells[0].textContent),"
        " document.querySelector('#leaderboard output').textContent]"
    )
    assert sorted(shown) == ["image alone", "tabular alone", "text alone"]
    assert told == "3 of 9"


def test_the_contents_mark_where_the_reader_is(visit) -> None:
    page = visit()
    current = "return document.querySelector('nav [aria-current]').textContent"
    assert page.execute_script(current) == "Verdict"
    for name, title in (("leaderboard", "Leaderboard"), ("reproduce", "How to reproduce")):
        page.execute_async_script(
            "document.documentElement.style.scrollBehavior = 'auto';"
            f"document.getElementById('{name}').scrollIntoView();"
            "setTimeout(arguments[0], 100)"
        )
        assert page.execute_script(current) == title
        assert len(page.find_elements("css selector", "nav [aria-current]")) == 1


def test_a_narrow_page_opens_its_contents_from_a_bar(visit) -> None:
    page = visit(width=400)
    menu = page.find_element("id", "menu")
    link = page.find_element("css selector", "nav a[href='#leaderboard']")
    assert (menu.text, link.is_displayed()) == ("Verdict", False)
    menu.click()
    assert link.is_displayed()
    link.click()
    assert (menu.get_attribute("aria-expanded"), link.is_displayed()) == ("false", False)


@pytest.mark.parametrize(("width", "beside"), [(400, False), (1280, True)])
def test_what_stands_beside_a_plot_needs_a_wide_page(visit, width: int, beside: bool) -> None:
    notes = visit(width=width).execute_script(
        "return [...document.querySelectorAll('#gains .annotation-text')].map(t => t.textContent)"
    )
    assert any(note.startswith("ceiling") for note in notes)
    assert any(note.startswith("p ") for note in notes) == beside


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_but_tables_scrolls_sideways(visit, width: int) -> None:
    page = visit(width=width)
    wide = page.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll')"
        " && !e.closest('.plot') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth"
        " && getComputedStyle(e).overflowX !== 'visible').map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


def test_the_first_key_leads_past_the_contents_and_focus_can_be_seen(visit) -> None:
    page = visit()
    page.find_element("css selector", "body").send_keys("\ue004")  # tab
    name, outline, left = page.execute_script(
        "const e = document.activeElement; return [e.className,"
        " getComputedStyle(e).outlineStyle, e.getBoundingClientRect().left]"
    )
    assert name == "skip"
    assert outline == "solid"
    assert left >= 0


def test_what_is_folded_away_is_printed(visit) -> None:
    page = visit("folded")
    folded = "return document.querySelectorAll('details:not([open])').length"
    before = page.execute_script(folded)
    assert before > 0
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert page.execute_script(folded) == 0
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(folded) == before


def test_a_folded_figure_is_drawn_as_wide_as_its_place_when_it_is_opened(visit) -> None:
    page = visit("fake", 1280)
    hidden = "return document.querySelectorAll('.fold:not([open]) .plot svg.main-svg').length"
    assert page.execute_script("return document.querySelectorAll('.fold .plot').length") > 0
    assert page.execute_script(hidden) == 0
    unfold(page)
    pairs = page.execute_script(
        "return [...document.querySelectorAll('.fold .plot')].map(p =>"
        " [p.clientWidth, p.querySelector('svg.main-svg').getBoundingClientRect().width])"
    )
    assert all(place > 600 and abs(place - drawn) < 2 for place, drawn in pairs)


def test_every_link_of_the_contents_leads_somewhere(visit) -> None:
    page = visit()
    dead = page.execute_script(
        "return [...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"
        ".filter(href => !document.getElementById(href.slice(1)))"
    )
    assert dead == []


def test_the_copy_button_answers(visit) -> None:
    page = visit()
    said = page.execute_async_script(
        "const button = document.querySelector('#reproduce .copy'); button.click();"
        "setTimeout(() => arguments[0](button.textContent), 100)"
    )
    assert said in ("copied", "selected")
