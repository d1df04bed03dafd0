"""``mmauto plugins`` says what there is, whose it is, and what is wrong with the rest."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from mmauto.cli.main import main
from mmauto.registry import KINDS, load_registry

THIRD_PARTY = """
import mmauto_greeting_words
from mmauto.plugin import Section, Text, hookimpl

class Greeting(Section):
    name, summary, reference, title = "greeting", "greets", "a test", "Greeting"
    def missing(self):
        return "its words are not there; run: pip install words"
    def render(self, study):
        return [Text("hello")]

@hookimpl
def mmauto_sections():
    return [Greeting()]
"""
WIDTH = 80

Lists = Callable[..., str]


@pytest.fixture
def lists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Runs ``mmauto plugins`` on a terminal of 80 columns; what it prints."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def run(*flags: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["plugins", *flags])
        assert stop.value.code == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a distribution of its own, whose import fails so far."""
    info = tmp_path / "mmauto_greeting-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmauto-greeting\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text("[mmauto]\ngreeting = mmauto_greeting\n")
    (tmp_path / "mmauto_greeting.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("mmauto_greeting", "mmauto_greeting_words"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def block(printed: str, kind: str) -> list[str]:
    """The lines under a kind's heading, up to the empty line."""
    lines = [line.rstrip() for line in printed.splitlines()]
    return list(takewhile(bool, lines[lines.index(kind) + 1 :]))


# ------------------------------------------------------------------------------- for programs


def component(listed: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    (found,) = (r for r in listed["components"] if (r["kind"], r["name"]) == (kind, name))
    return found


def test_json_says_everything_of_a_component(lists: Lists) -> None:
    registry = load_registry()
    entry = registry.entry("fusion", "concat_mlp")
    assert component(json.loads(lists("--json")), "fusion", "concat_mlp") == {
        "kind": "fusion",
        "name": "concat_mlp",
        "role": "early",
        "summary": entry.component.summary,
        "distribution": "mmauto",
        "version": entry.version,
        "reference": entry.component.reference,
        "missing": None,
    }


def test_json_lists_every_component_and_no_failure(lists: Lists) -> None:
    listed = json.loads(lists("--json"))
    registry = load_registry()
    assert listed["failures"] == []
    assert {(row["kind"], row["name"]) for row in listed["components"]} == {
        (kind, name) for kind in KINDS for name in registry.all(kind)
    }
    assert component(listed, "encoder", "bag_of_words")["role"] == "text"


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind(lists: Lists, kind: str) -> None:
    listed = json.loads(lists("--json", "--kind", kind))
    assert {row["kind"] for row in listed["components"]} == {kind}
    headings = {line.rstrip() for line in lists("--kind", kind).splitlines() if line[0] != " "}
    assert headings == {kind}


# ---------------------------------------------------------------------------------- for people


def test_80_columns_hold_whole_names_under_their_kind(lists: Lists) -> None:
    printed = lists()
    assert max(map(len, printed.splitlines())) <= WIDTH
    registry = load_registry()
    for kind in KINDS:
        lines = block(printed, kind)
        for name, entry in registry.all(kind).items():
            (line,) = (line for line in lines if line.startswith(f"  {name} "))
            assert line.split()[1:][:1] == [entry.role or entry.component.summary.split()[0]]


def test_summaries_fold_without_losing_a_word(lists: Lists) -> None:
    printed = " ".join(lists("--kind", "control").split())
    for entry in load_registry().all("control").values():
        assert entry.component.summary in printed


def test_what_comes_with_the_program_does_not_name_its_distribution(lists: Lists) -> None:
    assert "(mmauto 0" not in lists()


def test_a_broken_plugin_is_shown_with_its_error(lists: Lists, third_party: Path) -> None:
    failure = json.loads(lists("--json"))["failures"]
    wrong = "No module named 'mmauto_greeting_words'"
    assert failure == [{"plugin": "mmauto-greeting:greeting", "version": "2.5", "error": wrong}]
    printed = " ".join(lists("--kind", "task").split())
    assert f"not loaded: mmauto-greeting:greeting 2.5: {wrong}" in printed
    assert "medical" in printed


def test_a_third_partys_component_names_it_and_what_it_lacks(
    lists: Lists, third_party: Path
) -> None:
    (third_party / "mmauto_greeting_words.py").write_text("")
    importlib.invalidate_caches()
    row = component(json.loads(lists("--json")), "section", "greeting")
    assert (row["distribution"], row["version"]) == ("mmauto-greeting", "2.5")
    assert row["missing"] == "its words are not there; run: pip install words"
    printed = " ".join(lists("--kind", "section").split())
    assert "greeting greets (mmauto-greeting 2.5)" in printed
    assert "not usable yet: its words are not there; run: pip install words" in printed
