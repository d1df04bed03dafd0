"""``mmauto plugins new`` and ``check`` on what it wrote, as a user meets them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmauto.cli.main import main
from mmauto.registry import KINDS
from mmauto.testing import component_checks

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs ``mmauto plugins`` in an empty folder on 80 columns; exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["plugins", *words])
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_what_new_writes_keeps_the_contract_before_it_is_installed(run: Run, kind: str) -> None:
    code, out, _ = run("new", "mmauto-own", "--kind", kind)
    assert code == 0
    assert f"mmauto-own: a package with the {kind} own" in out
    assert "cd mmauto-own" in out
    before = (list(sys.path), os.environ.get("PYTHONPATH"), set(sys.modules))
    code, out, err = run("check", "mmauto-own", "--json")
    assert code == 0, out + err
    (component,) = json.loads(out)["components"]
    assert (component["kind"], component["name"]) == (kind, "own")
    assert {check["outcome"] for check in component["checks"]} == {"ok"}
    assert len(component["checks"]) > 5
    # the process is as it was: another package of the same name can be checked next
    assert (list(sys.path), os.environ.get("PYTHONPATH")) == before[:2]
    assert "mmauto_own" not in sys.modules


def test_a_component_in_the_registry_keeps_its_name(run: Run, tmp_path: Path) -> None:
    code, _, err = run("new", "mmauto-own", "--kind", "fusion", "--name", "concat_mlp")
    assert code == 2
    assert "a fusion's name must be its own, 'concat_mlp' is offered by mmauto" in err
    assert not list(tmp_path.iterdir())
    # names are unique in a kind only
    assert run("new", "mmauto-own", "--kind", "task", "--name", "concat_mlp")[0] == 0


def test_a_folder_with_files_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mmauto-own").mkdir()
    (tmp_path / "mmauto-own" / "pyproject.toml").write_text("")
    code, _, err = run("new", "mmauto-own", "--kind", "fusion")
    assert code == 2
    assert "holds files; name another one" in err


# ----------------------------------------------------------------------------- broken packages


@pytest.fixture
def package(run: Run, tmp_path: Path) -> Path:
    """A fusion's package, to be broken."""
    assert run("new", "mmauto-own", "--kind", "fusion")[0] == 0
    return tmp_path / "mmauto-own"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_broken_component_fails_with_what_was_seen(run: Run, package: Path) -> None:
    part = package / "mmauto_own" / "own.py"
    # a result that depends on the batch, and a field that FusionResult does not have
    edit(part, "weights = self", "parts = parts - parts.mean(0)\n                weights = self")
    edit(part, 'frozenset({"fused", "weights"})', 'frozenset({"votes"})')
    code, out, _ = run("check", "mmauto-own")
    assert code == 1
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "fusion own (mmauto-own from its folder)"
    assert max(map(len, lines)) <= 80
    failed = {line.split()[1] for line in lines if line.startswith("  failed")}
    assert {"batch_independence", "promised_fields"} <= failed
    assert "seen: gives ['votes'], of " in " ".join(out.split())
    assert lines[-1].endswith(f"{len(failed)} failed")


def test_an_exemption_is_shown_with_its_reason(run: Run, package: Path) -> None:
    part = package / "mmauto_own" / "own.py"
    edit(part, '    stage = "gated"\n',
         '    stage = "gated"\n    exempt = {"dict_order": "order matters here"}\n')  # fmt: skip
    code, out, _ = run("check", "mmauto-own")
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("  exempt"))
    assert line.split() == ["exempt", "dict_order", "order", "matters", "here"]
    assert out.splitlines()[-1].strip().endswith(", 1 exempt")


def test_what_is_missing_is_said_for_checks_that_did_not_run(run: Run, package: Path) -> None:
    part = package / "mmauto_own" / "own.py"
    edit(
        part,
        "    def space(",
        '    def missing(self):\n        return "run: pip install x"\n\n    def space(',
    )
    code, out, _ = run("check", "mmauto-own", "--json")
    assert code == 0
    checks = json.loads(out)["components"][0]["checks"]
    assert {c["outcome"] for c in checks} == {"ok", "not run"}
    assert {c["text"] for c in checks if c["outcome"] == "not run"} == {"run: pip install x"}


def test_a_package_that_does_not_load(run: Run, package: Path) -> None:
    hooks = package / "mmauto_own" / "__init__.py"
    whole = hooks.read_text()
    for old, new, message in (
        ("def mmauto_fusions", "def mmauto_fusion", "no hook is called 'mmauto_fusion'"),
        ("mmauto_api = 1", "mmauto_api = 9", "written for version 9 of mmauto's contracts"),
        ("from mmauto.plugin", "import nowhere_at_all\nfrom mmauto.plugin", "nowhere_at_all"),
        ("[Own", "[1, Own", "must return instances of Fusion, it gave 1"),
    ):
        hooks.write_text(whole)
        edit(hooks, old, new)
        code, out, _ = run("check", "mmauto-own")
        assert code == 1
        assert message in out
        assert out.startswith("not loaded: mmauto-own (folder):own: ")


def test_a_name_that_is_taken_is_found_before_it_is_published(run: Run, package: Path) -> None:
    edit(package / "mmauto_own" / "own.py", 'name = "own"', 'name = "concat_mlp"')
    code, out, _ = run("check", "mmauto-own")
    assert code == 1
    assert "fusion 'concat_mlp' is offered by" in out
    assert "mmauto-own (folder)" in out


def test_no_component_at_all(run: Run, package: Path) -> None:
    edit(package / "mmauto_own" / "__init__.py", "return [OwnFusion()]", "return []")
    code, out, _ = run("check", "mmauto-own")
    assert code == 1
    assert "mmauto-own offers no component: its hooks return nothing" in out


def test_folders_that_are_no_packages(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no-package").mkdir()
    code, _, err = run("check", "no-package")
    assert code == 2
    assert "a package's folder needs a pyproject.toml that can be read" in err
    (tmp_path / "no-package" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    code, _, err = run("check", "no-package")
    assert code == 2
    assert "[project.entry-points.mmauto]" in err
    assert "has no such table; add: mine = " in err


def test_the_kit_is_the_one_of_the_library(run: Run) -> None:
    from mmauto.registry import load_registry

    component = load_registry().fusion("concat_mlp")
    code, out, _ = run("check", "concat_mlp", "--json")
    assert code == 0
    listed = [check["check"] for check in json.loads(out)["components"][0]["checks"]]
    assert listed == [check.name for _, check in component_checks(component)]
