"""What the documents claim: generated parts are fresh, samples run, paths and settings exist."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmauto.config import from_mapping
from mmauto.registry import KINDS, load_registry
from mmauto.testing import check_component
from mmauto.toml import read_toml

ROOT = Path(__file__).parent.parent


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["components", "cli"])
def test_generated_parts_are_fresh(name: str) -> None:
    # in a process of its own, as `make docs` has
    code = "import runpy, sys; _, now, fresh = runpy.run_path(sys.argv[1])['updated'](sys.argv[2])"
    command = [sys.executable, "-c", f"{code}; print(now == fresh)", "tests/docs.py", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True", "run `make docs`"


def test_the_first_plugin_has_25_lines_and_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sample, *_) = blocks("plugins/README.md", "python")
    assert len(sample.strip().splitlines()) <= 25
    (tmp_path / "mmauto_sketch.py").write_text(sample)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # a check imports it in another process
    registry = load_registry({"sketch": importlib.import_module("mmauto_sketch")})
    assert not registry.failures
    assert check_component(registry.fusion("sketch"))


def test_every_hook_is_documented() -> None:
    text = (ROOT / "plugins" / "README.md").read_text()
    for kind in KINDS:
        assert f"`mmauto_{kind}s`" in text


def test_every_command_is_in_the_readme() -> None:
    from mmauto.cli.main import COMMANDS

    text = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"mmauto {command}" in text


def test_study_files_are_valid_and_listed() -> None:
    files = sorted((ROOT / "studies").glob("*.toml"))
    assert files
    for file in files:
        # a published pipeline names no data: the command does
        from_mapping({"task": "medical", **read_toml(file)}, str(file))
        assert f"({file.name})" in (ROOT / "studies" / "README.md").read_text()


def test_the_sample_study_file_is_valid(tmp_path: Path) -> None:
    sample, arms = blocks("studies/README.md", "toml")
    (tmp_path / "s.toml").write_text(sample)
    assert from_mapping(read_toml(tmp_path / "s.toml"), "s.toml").trials == 3
    (tmp_path / "s.toml").write_text(sample + arms)
    assert set(from_mapping(read_toml(tmp_path / "s.toml"), "s.toml").arms) == {"published"}


def test_links_between_documents_lead_somewhere() -> None:
    for path in ("README.md", "plugins/README.md", "studies/README.md", ".github/CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / path).read_text()):
            assert ((ROOT / path).parent / link).exists(), f"{path}: {link}"


def test_no_path_of_a_machine_is_in_the_documents() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob(".github/*.md")]:
        assert not re.search(r"(?<![\w.])/(home|root|work|Users)/", path.read_text()), path


def test_the_package_says_one_version() -> None:
    import tomllib

    import mmauto

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == mmauto.__version__


def test_the_layers_hold() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    if not tool.exists():
        pytest.skip("import-linter is not installed (the dev extra brings it)")
    run = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
