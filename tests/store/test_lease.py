"""One search at a time writes a study."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mmauto
from mmauto.errors import StoreError
from mmauto.store import lease
from mmauto.store.lease import held
from mmauto.store.study import StudyStore

HOLD = """
import subprocess, sys
from pathlib import Path
from mmauto.store.lease import held
with held(Path(sys.argv[1]), "s", ""):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
child.kill()
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "WAIT_SECONDS", 0.3)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another search, and a worker of its that outlives it."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "s")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    yield process, worker
    process.kill()
    process.communicate()
    os.kill(worker, signal.SIGKILL)


@pytest.mark.fault("database")
def test_the_second_search_is_told_who_holds_the_study(
    tmp_path: Path, other: tuple[subprocess.Popen[str], int]
) -> None:
    process, _ = other
    who = rf"{tmp_path}/s is held by process {process.pid} on {re.escape(socket.gethostname())}"
    sentence = rf"one search at a time .*{who} since 20.*; wait for it"
    with pytest.raises(StoreError, match=sentence), held(tmp_path / "s", "s", ""):
        pass
    process.kill()  # its worker lives on
    process.wait()
    with held(tmp_path / "s", "s", "") as fence:
        fence()


def test_a_search_asks_before_it_does_anything(
    tmp_path: Path, other: tuple[subprocess.Popen[str], int]
) -> None:
    with pytest.raises(StoreError, match="one search at a time writes a study"):
        mmauto.search(task="medical", name="s", out=str(tmp_path))
    assert {file.name for file in (tmp_path / "s").iterdir()} == {lease.LOCK, lease.HOLDER}


def test_readers_need_no_lease(tmp_path: Path, new_study: Callable[..., StudyStore]) -> None:
    new_study(tmp_path).close()
    with held(tmp_path, "s", ""):
        found = StudyStore.open(tmp_path)
        assert found is not None
        found.close()


def test_a_search_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    with held(tmp_path / "s", "s", ""):
        assert (tmp_path / "s").is_dir()
    assert not (tmp_path / "s").exists()
    with held(tmp_path, "s", ""):
        (tmp_path / "study.toml").write_text("")
    assert (tmp_path / "study.toml").exists()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sentence = r"a study needs a folder that can be written, .*file/s"
    with pytest.raises(StoreError, match=sentence), held(tmp_path / "file" / "s", "s", ""):
        pass
