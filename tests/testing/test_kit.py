"""The kit's own machinery, and the checks that every kind shares."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from mmauto.errors import PluginError
from mmauto.plugin import Choice, Section, Text
from mmauto.testing import check_component, component_checks, parametrize_with_checks
from mmauto.testing.checks import CHECKS
from mmauto.testing.checks_component import CHECKS as COMMON


class Good(Section):
    name = "good"
    title = "Good"
    summary = "says how many rows there are"
    reference = "made up"

    def render(self, study):
        return [Text(f"{study.rows['train']} rows")]


class ShoutingName(Good):
    name = "Good-Section"


class LongSummary(Good):
    summary = "two\nlines"


class NoReference(Good):
    reference = " "


class OddSpace(Good):
    def space(self, task):
        return {"Width": Choice((1, 2))}


class NotADimension(Good):
    def space(self, task):
        return {"width": (1, 2)}


class NotJson(Good):
    def space(self, task):
        return {"rate": Choice((0.1, float("nan")))}


@pytest.mark.parametrize(
    ("broken", "name", "seen"),
    [
        (ShoutingName(), "metadata", "the name 'Good-Section'"),
        (LongSummary(), "metadata", "several lines"),
        (NoReference(), "metadata", "reference = ' '"),
        (OddSpace(), "space_is_plain", "a parameter called 'Width'"),
        (NotADimension(), "space_is_plain", "width = (1, 2)"),
        (NotJson(), "space_is_plain", "not JSON compliant"),
    ],
)
def test_a_broken_component_fails_its_check(broken, name, seen):
    with pytest.raises(PluginError, match="breaks the check") as caught:
        _check(broken, name)(broken)
    assert seen in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("heavy", ["torch", "pandas"])
def test_a_module_that_imports_a_heavy_library_fails(tmp_path, monkeypatch, heavy):
    (tmp_path / f"with_{heavy}.py").write_text(
        f"import {heavy}\nfrom mmauto.plugin import Section\n\n\nclass Mine(Section):\n"
        "    name = title = summary = reference = 'mine'\n\n"
        "    def render(self, study):\n        return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    broken = importlib.import_module(f"with_{heavy}").Mine()
    with pytest.raises(PluginError, match=f"imports {heavy}"):
        _check(broken, "torch_free_import")(broken)


def test_a_good_component_passes_every_check():
    results = check_component(Good())
    assert {result.outcome for result in results} == {"passed"}
    assert {result.check.name for result in results} == {
        function.__name__ for function in (*COMMON, *CHECKS["section"])
    }


def test_the_error_says_component_check_rule_and_what_was_seen():
    with pytest.raises(PluginError) as caught:
        check_component(NoReference())
    text = str(caught.value)
    assert text.startswith("section 'good' (")
    for part in ("'metadata'", "short texts", "seen: reference = ' '", "exempt = {'metadata'"):
        assert part in text


def test_all_failures_are_told_at_once():
    class Twice(Good):
        summary = ""
        title = ""

    with pytest.raises(PluginError) as caught:
        check_component(Twice())
    assert "'metadata'" in str(caught.value)
    assert "'title_and_order'" in str(caught.value)


def test_an_exemption_skips_with_its_reason():
    class Exempt(NoReference):
        exempt = {"metadata": "an internal section"}

    [skipped] = [result for result in check_component(Exempt()) if result.outcome == "skipped"]
    assert (skipped.check.name, skipped.reason) == ("metadata", "an internal section")
    _check(Exempt(), "metadata")(Exempt())


@pytest.mark.parametrize("exempt", [{"metadate": "a slip"}, {"metadata": " "}])
def test_an_exemption_needs_a_real_check_and_a_reason(exempt):
    broken = type("Broken", (Good,), {"exempt": exempt})()
    with pytest.raises(PluginError, match="maps the name of a check to a reason"):
        component_checks(broken)


def test_a_component_that_misses_something_skips_all_but_the_static_checks():
    class Missing(Good):
        def missing(self):
            return "needs the package 'weights': pip install weights"

    for result in check_component(Missing()):
        static = result.check.name in {function.__name__ for function in COMMON}
        assert result.outcome == ("passed" if static else "skipped")
        assert static or "pip install weights" in result.reason


def test_a_class_or_a_stranger_is_refused():
    with pytest.raises(PluginError, match=r"Good was given to the kit; pass an object such as"):
        component_checks(Good)
    with pytest.raises(PluginError, match="int was given to the kit"):
        component_checks(3)


def test_parametrize_makes_a_case_a_check_and_marks_skips():
    class Exempt(Good):
        exempt = {"metadata": "an internal section"}

    cases = parametrize_with_checks([Exempt()]).args[1]
    assert [case.id for case in cases][:2] == [
        "section-good-metadata",
        "section-good-space_is_plain",
    ]
    assert cases[0].marks[0].kwargs["reason"] == "an internal section"
    assert not cases[1].marks


@parametrize_with_checks([Good()])
def test_the_decorator_works_as_documented(component, check):
    check(component)


def test_every_check_states_its_rule():
    for function in {f for functions in (COMMON, *CHECKS.values()) for f in functions}:
        assert function.__doc__, function.__name__


def test_importing_the_kit_loads_no_torch():
    code = "import sys, mmauto.testing; print([m for m in ('torch', 'pytest') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _check(component, name):
    [check] = [check for _, check in component_checks(component) if check.name == name]
    return check
