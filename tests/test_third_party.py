"""The door for third parties: what the guide says runs, and packages install, pass and compete."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmauto.contracts import API_VERSION
from mmauto.registry import KINDS, load_registry
from mmauto.testing import check_component

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "plugins" / "README.md").read_text()
EXAMPLE = ROOT / "plugins" / "example"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
MODULES = [block for block in BLOCKS if "@hookimpl" in block]


# --------------------------------------------------------------------------------- the guide


@pytest.mark.parametrize("kind", KINDS)
def test_each_hook_has_a_section_with_an_example(kind: str) -> None:
    section = GUIDE.partition(f"### `mmauto_{kind}s`")[2].partition("\n### ")[0]
    assert f"def mmauto_{kind}s():" in section
    base = KINDS[kind]
    for name in sorted(base.__abstractmethods__):
        assert re.search(rf"^{name}\(", section, re.MULTILINE), f"{name} has no signature"


@pytest.mark.parametrize("number", range(len(MODULES)))
def test_the_guides_components_keep_their_contracts(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"mmauto_guide_{number}"
    (tmp_path / f"{name}.py").write_text(MODULES[number])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # a check imports it in another process
    registry = load_registry({"guide": importlib.import_module(name)})
    assert "guide" not in {failure.plugin for failure in registry.failures}
    own = [e for found in registry.entries.values() for e in found.values()]
    (entry,) = (entry for entry in own if entry.distribution == "guide")
    results = check_component(entry.component)
    assert {result.outcome for result in results} == {"passed"}


@pytest.mark.slow
def test_the_guides_test_runs(tmp_path: Path) -> None:
    (tests,) = (block for block in BLOCKS if "@hookimpl" not in block)
    (tmp_path / "mmauto_sketch.py").write_text(MODULES[0])
    (tmp_path / "test_sketch.py").write_text(tests)
    assert " passed" in call("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)


def test_the_guide_and_the_example_say_the_version_of_the_contracts() -> None:
    assert f"`mmauto.plugin.API_VERSION`, now {API_VERSION}." in GUIDE
    assert f"mmauto_api = {API_VERSION}" in (EXAMPLE / "mmauto_example/__init__.py").read_text()


def test_a_plugin_for_other_contracts_is_refused_as_the_guide_says() -> None:
    class Later:
        mmauto_api = API_VERSION + 1

    failures = load_registry({"later": Later()}).failures
    (failure,) = (failure for failure in failures if failure.plugin == "later")
    assert failure.message == (
        f"written for version {API_VERSION + 1} of mmauto's contracts, this is version "
        f"{API_VERSION}; install a release of the plugin that fits"
    )
    assert "of mmauto's contracts, this is version" in " ".join(GUIDE.split())


# ----------------------------------------------------------------------- a second environment


def call(*words: str | Path, python: str | Path = sys.executable, cwd: Path) -> str:
    """Runs Python with these words, which must succeed; what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(python), *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an empty environment that sees the packages of this one, mmauto included."""
    folder = tmp_path_factory.mktemp("environment")
    # pip and setuptools come from outside, too: those of venv may be old
    call("-m", "venv", "--without-pip", folder, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    outer = [path for path in sys.path if path.endswith("site-packages")]
    # addsitedir reads the .pth files of the outer folder too: those of an editable mmauto
    lines = [f"import site; site.addsitedir({path!r})" for path in outer]
    (site / "outer.pth").write_text("\n".join(lines))
    return folder / "bin" / "python"


def install(python: Path, package: Path) -> None:
    """Offline, from a copy: setuptools leaves its folders beside what it builds."""
    call(
        "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
        package, python=python, cwd=package.parent,
    )  # fmt: skip


@pytest.mark.slow
def test_the_example_installs_passes_and_joins_a_search(environment: Path, tmp_path: Path) -> None:
    package = tmp_path / "example"
    shutil.copytree(EXAMPLE, package, ignore=shutil.ignore_patterns("__pycache__"))
    install(environment, package)
    where = tmp_path / "elsewhere"
    where.mkdir()

    def mmauto(*words: str) -> str:
        return call("-m", "mmauto", *words, python=environment, cwd=where)

    listed = json.loads(mmauto("plugins", "--json"))
    assert not [f for f in listed["failures"] if f["plugin"].startswith("mmauto-example:")]
    own = {row["name"] for row in listed["components"] if row["distribution"] == "mmauto-example"}
    assert own == {"example_maximum", "example_characters"}
    for name in sorted(own):
        assert "failed" not in mmauto("plugins", "check", name)
    call("-m", "pytest", "-q", "-p", "no:cacheprovider", python=environment, cwd=package)
    found = json.loads(
        mmauto(
            "search", "--task", "medical", "--trials", "1", "--epochs", "1", "--confirm-seeds", "1",
            "--workers", "1", "--fusions", "example_maximum", "--controls", "majority",
            "--encoders", "example_characters,small_cnn,mlp", "--quiet", "--json",
            "--exclude", "image_only,tabular_only",
        )
    )  # fmt: skip
    arms = {row["arm"]: row for row in found["leaderboard"]}
    assert "example_maximum" in arms
    assert 0 <= arms["example_maximum"]["test"] <= 1


@pytest.mark.slow
def test_new_packages_of_all_kinds_pass_untouched(environment: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        call("-m", "mmauto", "plugins", "new", f"mmauto-new-{kind}", "--kind", kind, cwd=tmp_path)
        install(environment, tmp_path / f"mmauto-new-{kind}")
    listed = json.loads(call("-m", "mmauto", "plugins", "--json", python=environment, cwd=tmp_path))
    assert not [f for f in listed["failures"] if f["plugin"].startswith("mmauto-new-")]
    assert {f"new_{kind}" for kind in KINDS} <= {row["name"] for row in listed["components"]}
    for kind in KINDS:
        tests = tmp_path / f"mmauto-new-{kind}" / "tests"
        # from a folder without the package: what is tested is what was installed
        away = shutil.copytree(tests, tmp_path / f"tests-of-{kind}")
        printed = call("-m", "pytest", "-q", "-p", "no:cacheprovider", python=environment, cwd=away)
        assert " passed" in printed
        assert "skipped" not in printed
