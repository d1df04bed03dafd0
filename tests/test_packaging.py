"""The wheel holds the program, its plugins and nothing else, and runs without the checkout."""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmauto.registry import load_registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SHIPPED = {".py", ".css", ".js", ".html"}


def call(*words: str | Path, **options: object) -> str:
    """Runs a program that must succeed; what it prints."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def has_backend() -> bool:
    """Whether setuptools is here as pyproject.toml wants it; else ``build`` downloads it."""
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves ``build`` and ``*.egg-info`` beside what it builds."""
    tree = tmp_path_factory.mktemp("tree") / "mmauto"
    left = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("mmauto", "plugins", "tests", "studies"):
        shutil.copytree(ROOT / name, tree / name, ignore=left)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    how = ["--no-isolation"] if has_backend() else []
    call(sys.executable, "-m", "build", "--wheel", *how, tree)
    (found,) = (tree / "dist").glob("*.whl")
    return found


@dataclass
class Installed:
    """The wheel in a folder of its own."""

    folder: Path
    elsewhere: Path

    def python(self, *words: str) -> str:
        """Runs Python with the wheel, the dependencies and no way to the checkout.

        ``-S`` leaves out the ``.pth`` files of site-packages, through which an editable install
        finds the checkout; the dependencies come as a plain folder behind the wheel.
        """
        places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        path = os.pathsep.join([str(self.folder), *places])
        environment = {**os.environ, "PYTHONPATH": path}
        return call(sys.executable, "-S", "-P", *words, cwd=self.elsewhere, env=environment)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    quiet = ("--quiet", "--no-index", "--disable-pip-version-check", "--no-deps")
    call(sys.executable, "-m", "pip", "install", *quiet, "--target", folder, wheel)
    return Installed(folder, tmp_path_factory.mktemp("elsewhere"))


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(top).as_posix()
        for top, pattern in ((ROOT, "mmauto/**/*"), (ROOT / "plugins", "mmauto*/**/*"))
        for path in top.glob(pattern)
        if path.suffix in SHIPPED or path.name == "py.typed"
    }
    assert packed == expected
    assert {"mmauto/report/page.css", "mmauto/report/page.js", "mmauto/py.typed"} <= packed


def test_the_wheel_declares_commands_plugins_and_licence(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        points = configparser.ConfigParser()
        points.read_string(archive.read(f"{info}/entry_points.txt").decode())
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert dict(points["console_scripts"]) == project["scripts"]
    assert dict(points["mmauto"]) == project["entry-points"]["mmauto"]
    packages = {path.name for path in (ROOT / "plugins").glob("mmauto_*")}
    assert set(points["mmauto"].values()) == packages


def test_the_checkout_is_out_of_reach(installed: Installed) -> None:
    code = "import mmauto, mmauto_fusion; print(mmauto.__file__); print(mmauto_fusion.__file__)"
    for place in installed.python("-c", code).split():
        assert Path(place).is_relative_to(installed.folder)
    shutil.move(installed.folder / "mmauto_fusion", installed.elsewhere / "away")
    try:
        with pytest.raises(AssertionError, match="No module named 'mmauto_fusion'"):
            installed.python("-c", code)
    finally:
        shutil.move(installed.elsewhere / "away", installed.folder / "mmauto_fusion")


def test_the_wheel_lists_all_plugins(installed: Installed) -> None:
    listed = json.loads(installed.python("-m", "mmauto", "plugins", "--json"))
    assert listed["failures"] == []
    assert {(row["kind"], row["name"]) for row in listed["components"]} == {
        (entry.kind, entry.name)
        for found in load_registry().entries.values()
        for entry in found.values()
        if entry.distribution == "mmauto"
    }


def test_the_wheel_shows_its_help(installed: Installed) -> None:
    assert "search" in installed.python("-m", "mmauto", "--help")
    assert "--target" in installed.python("-m", "mmauto", "search", "--help")
    assert (installed.folder / "bin" / "mmauto").exists() or sys.platform == "win32"


def test_every_module_of_the_wheel_imports(installed: Installed) -> None:
    """No module reaches for a file or a module that only the checkout has."""
    code = (
        "import importlib, pkgutil, mmauto\n"
        "for found in pkgutil.walk_packages(mmauto.__path__, 'mmauto.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "        print(found.name)\n"
    )
    assert "mmauto.report.page" in installed.python("-c", code).split()
