"""What is imported, and when: cheap commands load nothing heavy, a search only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

HEAVY = (
    "torch", "torchvision", "optuna", "plotly", "pandas", "numpy", "sqlalchemy", "sklearn",
    "transformers", "mmauto_image", "mmauto_fusion", "mmauto_medical",
)  # fmt: skip

HELP = """
import sys
from mmauto.cli.main import main
try:
    main(["--help"])
except SystemExit as stop:
    assert not stop.code
"""


def loaded(code: str) -> set[str]:
    """Heavy modules that are loaded after running some code in a fresh interpreter."""
    tail = f"\nimport sys\nprint('LOADED', *[n for n in {HEAVY!r} if n in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("code", ["import mmauto", "import mmauto.plugin", HELP])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded(code) == set()


def test_the_test_above_can_fail() -> None:
    assert "pandas" in loaded("import mmauto, pandas")
    assert "numpy" in loaded("import mmauto; mmauto.search")


def test_the_registry_loads_no_torch() -> None:
    found = loaded("from mmauto.registry import load_registry; load_registry()")
    assert "mmauto_fusion" in found
    assert not found & {"torch", "transformers", "sklearn", "optuna", "plotly", "pandas"}


NOT_NEEDED = {
    "torchvision", "transformers", "timm", "peft", "PIL", "onnx", "onnxruntime", "ray", "captum",
}  # fmt: skip

LISTENER = """
import os, sys, time

log, table, patience = os.environ["LISTENER_LOG"], os.environ["LISTENER_TABLE"], 15.0
me, seen = os.getpid(), set()

def note(event, *args):
    if event == "import":
        word = "import " + args[0].partition(".")[0]
    elif event == "open" and str(args[0]) == table:
        word = "open table"
    elif event == "subprocess.Popen" and "mmauto.engine.child" in args[1]:
        word = "start executor"
    else:
        return
    if word in seen:
        return
    seen.add(word)
    if word == "open table":
        end = time.monotonic() + patience
        while time.monotonic() < end and "import torch\\n" not in open(log).read():
            time.sleep(0.02)
    with open(log, "a") as file:
        file.write(f"{me} {word}\\n")

sys.addaudithook(lambda event, args: note(event, *args))
"""
"""As ``sitecustomize``: writes what each process of a search does, and holds the coordinator up
before it reads the table, until an executor imports torch or patience ends."""


@pytest.fixture(scope="module")
def search_log(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(process, what it did) of a whole small search of words and numbers, in order."""
    folder = tmp_path_factory.mktemp("startup")
    table, log = folder / "t.csv", folder / "log"
    rows = [(f"a {'calm' if row % 2 else 'loud'} day {row % 7}", row % 11) for row in range(90)]
    lines = [f"{note},{x / 7},{'no' if 'calm' in note else 'yes'}" for note, x in rows]
    table.write_text("\n".join(["note,x,label", *lines]) + "\n")
    log.touch()
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(LISTENER)
    path = os.pathsep.join(filter(None, [str(folder / "hook"), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": path, "LISTENER_LOG": str(log), "LISTENER_TABLE": str(table)}
    command = [
        sys.executable, "-m", "mmauto", "search", "--data", str(table), "--text", "note",
        "--tabular", "x", "--target", "label", "--encoders", "bag_of_words,mlp", "--fusions",
        "concat_mlp", "--controls", "majority", "--trials", "1", "--epochs", "1",
        "--confirm-seeds", "1", "--workers", "1", "--device", "cpu", "--out", str(folder),
        "--name", "s", "--quiet",
    ]  # fmt: skip
    subprocess.run(command, env={**os.environ, **own}, capture_output=True, check=True)
    found = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return [(process, done) for process, done in found]


def imports(log: list[tuple[str, str]], process: str) -> Iterator[str]:
    return (done.split()[1] for one, done in log if one == process and done.startswith("import"))


def test_a_search_imports_what_its_plugins_need(search_log: list[tuple[str, str]]) -> None:
    coordinator = next(one for one, done in search_log if done == "start executor")
    executor = next(one for one, done in search_log if done == "import torch")
    here, there = set(imports(search_log, coordinator)), set(imports(search_log, executor))
    assert executor != coordinator
    assert "torch" not in here
    assert {"torch", "sklearn"} <= there
    assert not (here | there) & NOT_NEEDED
    assert not there & {"plotly", "optuna", "sqlalchemy"}
    # its figures are the last thing that a search makes
    later = search_log[search_log.index((coordinator, "import plotly")) :]
    assert {one for one, _ in later} == {coordinator}


def test_the_executor_imports_torch_before_the_table_is_read(
    search_log: list[tuple[str, str]],
) -> None:
    done = [what for _, what in search_log]
    order = ("start executor", "import torch", "open table")
    assert sorted(order, key=done.index) == list(order)
