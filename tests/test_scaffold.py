"""New packages: their names, their files, and that they work without being installed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mmauto.contracts import API_VERSION
from mmauto.errors import ConfigError
from mmauto.registry import KINDS
from mmauto.scaffold import plan, write

RUFF = Path(sys.executable).parent / "ruff"


@pytest.mark.parametrize(
    ("folder", "kind", "name", "expected"),
    [
        ("mmauto-sum", "fusion", None, ("mmauto_sum", "sum", "Sum")),
        ("wide-sum", "fusion", None, ("wide_sum", "wide_sum", "WideSum")),
        ("mmauto_sum_fusion", "fusion", None, ("mmauto_sum_fusion", "sum_fusion", "Sum")),
        ("mmauto-sum2", "encoder", "fusion", ("mmauto_sum2", "fusion", "Fusion")),
    ],
)
def test_names_follow_the_folder(
    tmp_path: Path, folder: str, kind: str, name: str | None, expected: tuple[str, str, str]
) -> None:
    planned = plan(tmp_path / folder, kind, name)
    assert (planned.package, planned.name, planned.stem) == expected
    assert planned.distribution == folder


@pytest.mark.parametrize(
    ("folder", "kind", "name", "message"),
    [
        ("mmauto-a", "fusio", None, "unknown kind 'fusio' .from --kind.; did you mean 'fusion'"),
        ("Mine", "fusion", None, "called after its folder: .* 'Mine' is not"),
        ("a--b", "fusion", None, "single '-' or '_' between them, .* 'a--b' is not"),
        ("2fast", "fusion", None, "'2fast' is not; name the folder like 'mmauto-mine'"),
        ("json", "fusion", None, "module name of its own, 'json' .* is taken"),
        ("lambda", "fusion", None, "'lambda' .from the folder 'lambda'. is taken"),
        ("tests", "task", None, "'tests' .* is taken"),
        ("mmauto-fusion", "fusion", None, "'mmauto_fusion' .* is taken; name the folder otherwise"),
        ("mmauto-a", "fusion", "Big", "no word of Python, 'Big' .from --name. is not"),
        ("mmauto-class", "fusion", None, "'class' .from the folder 'mmauto-class'. is not; give"),
    ],
)
def test_names_that_cannot_be_used(
    tmp_path: Path, folder: str, kind: str, name: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path / folder, kind, name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "mmauto-sum"
    folder.mkdir()
    plan(folder, "fusion")  # an empty folder is fine
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"empty or does not exist yet, .* holds files"):
        plan(folder, "fusion")
    with pytest.raises(ConfigError, match=r"notes.txt' is a file; name another one"):
        plan(folder / "notes.txt", "fusion")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"folder that can be written, .*mmauto-sum' cannot"):
        write(plan(tmp_path / "file" / "mmauto-sum", "fusion"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete_and_free_of_the_templates_words(tmp_path: Path, kind: str) -> None:
    new = plan(tmp_path / "mmauto-own-part", kind)
    assert {str(path) for path in write(new)} == {
        "pyproject.toml", "README.md", "mmauto_own_part/__init__.py", "mmauto_own_part/own_part.py",
        "mmauto_own_part/py.typed", "tests/test_own_part.py",
    }  # fmt: skip
    project = tomllib.loads((new.folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "mmauto-own-part"
    assert project["project"]["dependencies"] == ["mmauto"]
    assert project["project"]["entry-points"]["mmauto"] == {"own_part": "mmauto_own_part"}
    for path in new.folder.rglob("*.*"):
        text = path.read_text()
        assert "scaffold" not in text.lower(), path
        assert max(map(len, text.splitlines()), default=0) <= 100, path
    hooks = (new.folder / "mmauto_own_part" / "__init__.py").read_text()
    assert f"mmauto_api = {API_VERSION}\n" in hooks
    assert f"def mmauto_{kind}s()" in hooks
    component = ast.parse((new.folder / "mmauto_own_part" / "own_part.py").read_text())
    imported = {n.module for n in ast.walk(component) if isinstance(n, ast.ImportFrom)}
    assert {str(module) for module in imported if str(module).startswith("mmauto")} == {
        "mmauto.plugin"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_formatted_and_sorted(tmp_path: Path, kind: str) -> None:
    if not RUFF.exists():
        pytest.skip("ruff is not installed (the dev extra brings it)")
    new = plan(tmp_path / "mmauto-own", kind)
    write(new)
    wide = ("--no-cache", "--line-length", "100", ".")
    for words in (("check", "--select", "E,F,I,UP", *wide), ("format", "--diff", *wide)):
        run = subprocess.run(
            [RUFF, *words], cwd=new.folder, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout
