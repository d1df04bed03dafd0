"""Plugins are found, attributed and validated; a broken one never takes the program along."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from mmauto.errors import ConfigError
from mmauto.plugin import Section, Text, hookimpl
from mmauto.registry import BLOCK, load_registry


class Hello(Section):
    name = "hello"
    summary = "greets"
    reference = "a test"
    title = "Hello"

    def render(self, study: object) -> list[Text]:
        return [Text("hello")]


def plugin(**hooks: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()})


def only_failure(registry: object, name: str) -> str:
    found = [failure.message for failure in registry.failures if failure.plugin == name]
    assert len(found) == 1
    return found[0]


def test_a_component_is_found_with_its_owner() -> None:
    registry = load_registry({"mine": plugin(mmauto_sections=lambda: [Hello()])})
    entry = registry.entry("section", "hello")
    assert (entry.kind, entry.distribution, entry.version) == ("section", "mine", "local")


def test_builtins_come_through_entry_points_of_the_distribution() -> None:
    entry = load_registry().entry("fusion", "concat_mlp")
    assert entry.distribution == "mmauto"
    assert entry.role == "early"


def test_a_misspelt_hook_is_reported_by_name() -> None:
    registry = load_registry({"typo": plugin(mmauto_section=lambda: [Hello()])})
    assert "no hook is called 'mmauto_section'" in only_failure(registry, "typo")
    assert "mmauto_sections" in only_failure(registry, "typo")


def test_a_failing_hook_does_not_stop_the_others() -> None:
    def fails() -> list[Section]:
        raise RuntimeError("boom")

    registry = load_registry(
        {"bad": plugin(mmauto_sections=fails), "good": plugin(mmauto_sections=lambda: [Hello()])}
    )
    assert only_failure(registry, "bad") == "boom"
    assert "hello" in registry.all("section")


def test_a_duplicate_names_both_owners_and_keeps_the_first() -> None:
    registry = load_registry(
        {
            "a": plugin(mmauto_sections=lambda: [Hello()]),
            "b": plugin(mmauto_sections=lambda: [Hello()]),
        }
    )
    message = only_failure(registry, "b")
    assert "'hello' is offered by a and by b" in message
    assert registry.entry("section", "hello").distribution == "a"


def test_a_class_instead_of_an_instance_is_refused() -> None:
    registry = load_registry({"cls": plugin(mmauto_sections=lambda: [Hello])})
    assert "must return instances of Section, it gave Hello" in only_failure(registry, "cls")


def test_names_and_texts_are_validated() -> None:
    class Loud(Hello):
        name = "Loud!"

    class Mute(Hello):
        summary = None

    registry = load_registry({"x": plugin(mmauto_sections=lambda: [Loud()])})
    assert "name must match" in only_failure(registry, "x")
    registry = load_registry({"x": plugin(mmauto_sections=lambda: [Mute()])})
    assert "needs a text 'summary'" in only_failure(registry, "x")


def test_another_contract_version_is_refused_with_both_versions() -> None:
    old = plugin(mmauto_sections=lambda: [Hello()])
    old.mmauto_api = 99
    assert "written for version 99" in only_failure(load_registry({"old": old}), "old")


def test_an_environment_variable_blocks_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLOCK, "mine")
    registry = load_registry({"mine": plugin(mmauto_sections=lambda: [Hello()])})
    assert "blocked by" in only_failure(registry, "mine")
    assert "hello" not in registry.all("section")


def test_an_unknown_name_offers_the_nearest_and_lists_what_failed() -> None:
    def fails() -> list[Section]:
        raise ModuleNotFoundError("No module named 'open_clip'")

    registry = load_registry({"mmauto-clip": plugin(mmauto_encoders=fails)})
    with pytest.raises(ConfigError) as caught:
        registry.fusion("concat_mpl", "--fusions")
    text = str(caught.value)
    assert "unknown fusion 'concat_mpl' (from --fusions)" in text
    assert "did you mean 'concat_mlp'?" in text
    assert "not loaded: mmauto-clip local: No module named 'open_clip'" in text


def test_installed_distributions_are_walked_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two distributions with the same entry-point name, one of which cannot be imported."""
    for number, body in (("one", "import nothing_of_that_name"), ("two", SECTION)):
        info = tmp_path / f"thirdparty_{number}-1.{len(number)}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: thirdparty-{number}\nVersion: 1.{len(number)}\n"
        )
        (info / "entry_points.txt").write_text(f"[mmauto]\nsame = thirdparty_{number}\n")
        (tmp_path / f"thirdparty_{number}.py").write_text(body)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = load_registry()
    assert "nothing_of_that_name" in only_failure(registry, "thirdparty-one:same")
    assert registry.entry("section", "greeting").distribution == "thirdparty-two"
    assert registry.entry("fusion", "concat_mlp").distribution == "mmauto"


SECTION = """
from mmauto.plugin import Section, Text, hookimpl

class Greeting(Section):
    name, summary, reference, title = "greeting", "greets", "a test", "Greeting"
    def render(self, study):
        return [Text("hello")]

@hookimpl
def mmauto_sections():
    return [Greeting()]
"""
