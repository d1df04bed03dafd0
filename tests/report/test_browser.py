"""The report in a real browser: it draws, fits a phone, sorts, changes its theme, stays offline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmauto_sections import mmauto_sections

from mmauto.plugin import Figure, Finding, Section, Table, Text
from mmauto.report.page import write_report
from mmauto.testing.fakes_study import empty_study, fake_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'& ü漢"
REMOTE = "<a href='http://example.invalid/a'>x</a><img src='http://example.invalid/b.png'>"


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
        return [Text(REMOTE), drawn, Table(("name", "number"), rows, HOSTILE, sortable=True)]


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
        "fake": (fake_study(), sections),
        "empty": (empty_study(), sections),
        "hostile": (hostile_study(), [*sections, Hostile()]),
    }
    for name, (study, own) in made.items():
        write_report(study, own, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def visit(driver: Any, pages: dict[str, Path]) -> Callable[..., Any]:
    """Open a report at a width and in a theme; logs of what came before are thrown away."""

    def go(name: str = "fake", width: int = 1280, theme: str = "light") -> Any:
        for log in ("browser", "performance"):
            driver.get_log(log)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        driver.get(pages[name].as_uri())
        return driver

    return go


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
    heights = page.execute_script(
        "return [...document.querySelectorAll('section')]"
        ".map(section => [section.id, section.getBoundingClientRect().height])"
    )
    assert [name for name, _ in heights] == [section.name for section in mmauto_sections()]
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
    page, costs = visit(), "#leaderboard .scroll:last-of-type table"
    columns = page.execute_script(
        "return [...document.querySelectorAll('#leaderboard .scroll:last-of-type th')]"
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
    after = page.execute_script(look)
    assert before[0] != after[0]
    assert before[1] != after[1]  # the figures are drawn anew
    page.execute_script("document.getElementById('theme').click()")
    assert page.execute_script(look) == before


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
        "return [...document.querySelectorAll('#curves .legendtext')].map(t => t.textContent)"
    )
    assert HOSTILE in names


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
