"""Whatever the input, a result or one `MmautoError`: never a traceback, a hang or a write outside.

The fast tests try the same few inputs every time; the slow ones try thousands and count them.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmauto.errors import DataError

FEW = {"table": 50, "toml": 100, "bundle": 25, "report": 10}
MANY = {"table": 1500, "toml": 1500, "bundle": 800, "report": 300}
SECONDS = 60.0
"""For each kind of the slow tests."""


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    path = Path(__file__).with_name("fuzz.py")
    spec = importlib.util.spec_from_file_location("hostile_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _page_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver leaves plotly out of pages, which other tests of this process look for."""
    from mmauto.report import page

    monkeypatch.setattr(page, "_plotly", page._plotly)


@pytest.mark.parametrize("kind", FEW)
def test_a_few_inputs(fuzz: ModuleType, kind: str) -> None:
    tried, failures = fuzz.run(kind, 60.0, 0, FEW[kind])
    assert tried > FEW[kind] // 2
    assert not failures, "\n".join(failures[:5])


@pytest.mark.slow
@pytest.mark.fault("fuzz")
@pytest.mark.parametrize("kind", MANY)
def test_many_inputs(
    fuzz: ModuleType, kind: str, record_property: Callable[[str, object], None]
) -> None:
    tried, failures = fuzz.run(kind, SECONDS, 1, MANY[kind])
    record_property("tried", tried)
    assert tried > MANY[kind] // 10  # a busy machine gets through fewer of them
    assert not failures, f"{len(failures)} of {tried}:\n" + "\n".join(failures[:5])


class Watched:
    """Stands for a program's fault: what the driver must notice."""

    def __init__(self, fuzz: ModuleType, folder: Path):
        self.fuzz, self.folder = fuzz, folder

    def result(self, use: Any) -> Any:
        from hypothesis import strategies as st

        found = self.fuzz.Result()
        self.fuzz._try(self.fuzz.Kind(st.none(), use), self.folder / "place", None, found)
        return found


@pytest.fixture
def watched(fuzz: ModuleType, tmp_path: Path) -> Watched:
    return Watched(fuzz, tmp_path)


def test_the_driver_lets_results_and_refusals_pass(watched: Watched) -> None:
    def refuse(place: Path, item: Any) -> None:
        (place / "inside").write_text("x")
        raise DataError("a sentence")

    assert (watched.result(refuse).refused, watched.result(refuse).failures) == (1, [])
    assert watched.result(lambda place, item: None).failures == []


def test_the_driver_notices_another_exception(watched: Watched) -> None:
    def fail(place: Path, item: Any) -> None:
        raise KeyError("x")

    assert "KeyError: 'x'" in watched.result(fail).failures[0]


def test_the_driver_notices_a_write_outside(watched: Watched) -> None:
    def write(place: Path, item: Any) -> None:
        (place.parent.parent / "outside").write_text("x")

    def swallowed(place: Path, item: Any) -> None:
        try:
            (place.parent.parent / "folder").mkdir()
        finally:
            raise DataError("a sentence that hides it")

    assert "touched: open" in watched.result(write).failures[0]
    assert "touched: os.mkdir" in watched.result(swallowed).failures[0]


def test_the_driver_notices_a_program_and_a_pickle(watched: Watched) -> None:
    thing = pickle.dumps(Path("x"))
    unpickled = watched.result(lambda place, item: pickle.loads(thing))
    assert "touched: pickle.find_class" in unpickled.failures[0]
    started = watched.result(lambda place, item: os.system("true"))
    assert "touched: os.system" in started.failures[0]


def test_the_driver_ends_a_hang(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched.fuzz, "DEADLINE", 0.05)

    def loop(place: Path, item: Any) -> None:
        while True:
            pass

    def wait(place: Path, item: Any) -> None:
        time.sleep(30)

    assert "no answer" in watched.result(loop).failures[0]
    monkeypatch.setattr(watched.fuzz, "MOST_WAITING", 0.05)
    assert "no answer" in watched.result(wait).failures[0]
